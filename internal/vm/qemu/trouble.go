package qemu

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"time"
)

// troubles are what consoles show of systems that will not start any further, and that in words. Sources of the texts: kernel/panic.c of
// Linux; BdsDxe and the shell of EDK II; SeaBIOS' boot.c; GRUB's and systemd-boot's messages; initramfs-tools' and dracut's prompts;
// systemd's manager and emergency.service, and sulogin of util-linux, which that starts.
var troubles = []struct {
	shows *regexp.Regexp
	means string
}{
	{regexp.MustCompile(`Kernel panic - not syncing: ?([^\r\n]*)[\r\n]`), "its kernel has panicked: %s"},
	{regexp.MustCompile(`BdsDxe: (No bootable option or device was found)|(No bootable device)\.`), "its firmware finds nothing to boot"},
	{regexp.MustCompile(`UEFI Interactive Shell|Shell> `), "its firmware finds nothing to boot and shows its shell"},
	{regexp.MustCompile(`grub rescue> `), "GRUB does not find its own files and shows its rescue prompt"},
	{regexp.MustCompile(`Minimal BASH-like line editing|grub> `), "GRUB finds no menu and shows its prompt"},
	{regexp.MustCompile(`No loader found\. Configuration files|Error loading \\[^\r\n]*: Not found|Failed to (?:start|execute) [^\r\n]*\.efi`), "systemd-boot finds nothing that it can start"},
	{regexp.MustCompile(`ALERT! +([^\r\n]*) does not exist|No root device specified`), "its initramfs does not find the root file system: %s"},
	{regexp.MustCompile(`\(initramfs\) `), "its initramfs does not get further and shows a shell"},
	{regexp.MustCompile(`Entering emergency mode\. Exit the shell`), "its initramfs does not get further and is in emergency mode"},
	{regexp.MustCompile(`You are in (emergency|rescue) mode`), "systemd is in %s mode: something that it needs did not start"},
	{regexp.MustCompile(`Cannot open access to console, the root account is locked`), "systemd is in emergency mode, and root is locked"},
	{regexp.MustCompile(`systemd\[1\]: Freezing execution|Freezing execution\.`), "systemd has given up and stands still"},
}

// Trouble is a system that will not start any further, as its console shows it.
type Trouble struct{ Means string }

// Error says what the console means.
func (t *Trouble) Error() string { return t.Means }

// seen looks for trouble.
func seen(text []byte) *Trouble {
	text = control.ReplaceAll(text, nil)
	for _, t := range troubles {
		m := t.shows.FindSubmatch(text)
		if m == nil {
			continue
		}
		means := t.means
		if bytes.Contains([]byte(means), []byte("%s")) {
			if len(m[1]) == 0 {
				m[1] = m[0]
			}
			means = fmt.Sprintf(means, bytes.TrimSpace(m[1]))
		}
		return &Trouble{means}
	}
	return nil
}

// overlap is how much of what was looked at already is looked at again, since a text can come in parts.
const overlap = 512

// afterTrouble is how long consoles are left to show what belongs to it.
const afterTrouble = time.Second

// login is a console that asks for a name: the system has started.
var login = regexp.MustCompile(`(?m)login: ?$`)

// WatchBoot waits until the console shows that the system, which was started or reset last, will not start any further; the error is then a
// *[Trouble]. When it asks for a login name, which is no trouble, asked is called, once a boot; it may be nil. Other errors are ctx's, or that the machine ended.
func (c *Console) WatchBoot(ctx context.Context, asked func()) error {
	at, boots, told := int64(0), -1, false
	for ended := false; ; {
		c.mu.Lock()
		if boots != c.boots { // it will ask again
			boots, told = c.boots, false
		}
		at = max(at-overlap, c.boot, c.total-int64(len(c.recent)))
		part := bytes.Clone(c.recent[int64(len(c.recent))-(c.total-at):])
		at = c.total
		more := c.more
		c.mu.Unlock()
		if t := seen(part); t != nil {
			select {
			case <-time.After(afterTrouble):
			case <-ctx.Done():
			}
			return t
		}
		if asked != nil && !told && login.Match(part) {
			asked()
			told = true
		}
		if ended {
			return errEnded
		}
		select {
		case <-more:
		case <-c.eof:
			ended = true // look once more at what came last
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// NewBoot says that the machine is about to start anew: what the console showed before belongs to another boot. A reset notes that itself.
func (c *Console) NewBoot() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.boot = c.total
	c.boots++
}

// Boots is how often the machine has started anew.
func (c *Console) Boots() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.boots
}
