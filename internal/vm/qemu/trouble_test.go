package qemu

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

// what consoles showed of systems that did not start, and of one that did.
var shown = []struct{ text, means string }{
	{"[    1.2] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\r\n[    1.2] CPU: 0", "its kernel has panicked: VFS: Unable to mount root fs on unknown-block(0,0)"},
	{"\x1b[0m[    9.9] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100\r\n", "its kernel has panicked: Attempted to kill init! exitcode=0x00000100"},
	{"BdsDxe: No bootable option or device was found.\r\nBdsDxe: Press any key to enter the Boot Manager Menu.\r\n", "its firmware finds nothing to boot"},
	{"Booting from Hard Disk...\r\nBoot failed: not a bootable disk\r\n\r\nNo bootable device.\r\n", "its firmware finds nothing to boot"},
	{"\x1b[2J\x1b[01;01HUEFI Interactive Shell v2.2\r\nEDK II\r\n", "its firmware finds nothing to boot and shows its shell"},
	{"error: no such partition.\r\nEntering rescue mode...\r\ngrub rescue> ", "GRUB does not find its own files and shows its rescue prompt"},
	{"GNU GRUB  version 2.12\r\n   Minimal BASH-like line editing is supported. For the first word,\r\n", "GRUB finds no menu and shows its prompt"},
	{"ALERT!  LABEL=platform does not exist.  Dropping to a shell!\r\n\r\n\r\nBusyBox v1.37.0 (Debian 1:1.37.0-6+b3) built-in shell (ash)\r\n\r\n(initramfs) ", "its initramfs does not find the root file system: LABEL=platform"},
	{"\r\n(initramfs) \x1b[6n", "its initramfs does not get further and shows a shell"},
	{"You are in emergency mode. After logging in, type \"journalctl -xb\" to view\r\n", "systemd is in emergency mode: something that it needs did not start"},
	{"Cannot open access to console, the root account is locked.\r\nSee sulogin(8) man page for more details.\r\n", "systemd is in emergency mode, and root is locked"},
	{"[!!!!!!] Failed to mount API filesystems.\r\n[    2.1] systemd[1]: Freezing execution.\r\n", "systemd has given up and stands still"},
	{"BdsDxe: loading Boot0001 \"UEFI Misc Device\" from PciRoot(0x0)/Pci(0x5,0x0)\r\n[  OK  ] Started ssh.service\r\n\r\nDebian GNU/Linux 13 server-1 ttyS0\r\n\r\nserver-1 login: ", ""},
}

func TestTrouble(t *testing.T) {
	t.Parallel()
	for _, tt := range shown {
		got := ""
		if trouble := seen([]byte(tt.text)); trouble != nil {
			got = trouble.Error()
		}
		if got != tt.means {
			t.Errorf("%q means %q, want %q", tt.text, got, tt.means)
		}
	}
}

// TestWatchBoot: trouble is seen when it comes in parts, a boot's own only, and a login prompt is told once.
func TestWatchBoot(t *testing.T) {
	t.Parallel()
	c := newConsole(nil, nil, nil)
	c.append([]byte("[ 1.0] Kernel panic - not syncing: of before\r\n"))
	c.NewBoot()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked := make(chan bool, 9)
	end := make(chan error)
	go func() { end <- c.WatchBoot(ctx, func() { asked <- true }) }()
	c.append([]byte("Debian GNU/Linux 13 a ttyS0\r\n\r\na login: "))
	<-asked
	for _, part := range []string{"\r\na login: ", "[ 9.0] Kernel pa", "nic - not sync", "ing: of now\r\n"} {
		c.append([]byte(part))
		time.Sleep(5 * time.Millisecond)
	}
	var trouble *Trouble
	if err := <-end; !errors.As(err, &trouble) || trouble.Means != "its kernel has panicked: of now" {
		t.Errorf("%v", err)
	}
	if len(asked) > 0 {
		t.Error("the login prompt was told twice")
	}
	other := newConsole(nil, nil, nil)
	go func() { end <- other.WatchBoot(ctx, func() { asked <- true }) }()
	for boot := range 3 {
		other.append([]byte("a login: "))
		<-asked
		if other.NewBoot(); other.Boots() != boot+1 {
			t.Error("a boot was not counted")
		}
	}
	other.append([]byte("Shell> "))
	if err := <-end; !errors.As(err, &trouble) {
		t.Error(err)
	}
	go func() { end <- newConsole(nil, nil, nil).WatchBoot(ctx, nil) }()
	cancel()
	if err := <-end; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	close(c.eof)
	c.NewBoot()
	if err := c.WatchBoot(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "the machine has ended") {
		t.Error(err)
	}
}
