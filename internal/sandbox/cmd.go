package sandbox

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
)

// Cmd is one program to run, with everything it may see. The zero values of all fields but Argv work.
type Cmd struct {
	Argv []string // program and arguments, e.g. {"dpkg", "--configure", "-a"}; a name without "/" is looked up in Env's PATH (inside the sandbox)
	Env  []string // the whole environment, "NAME=value"; nothing is inherited, except that a Host command with nil Env gets this process's
	Dir  string   // working directory, inside Root; "" is "/" (for a Host command: this process's)

	Root   string  // directory that becomes "/", writable; "" is the current root, or what a Mount with Target "/" says
	Mounts []Mount // made in order, after the root

	Network bool // keep this process's network; otherwise there is a loopback interface and nothing else

	Stdin  io.Reader // nil is empty input
	Stdout io.Writer // nil discards
	Stderr io.Writer // nil discards; unless it is an *os.File, the last lines are kept for the [ExitError]
	TTY    bool      // Stdin is this process's terminal (an *os.File), and the program gets its foreground (for shells)

	Hostname   string     // "" is "localhost"
	Umask      int        // e.g. 0o077; 0 is 0o022 and -1 is 0
	UID, GID   int        // inside the sandbox
	KeepGroups bool       // keep this process's supplementary groups (e.g. kvm's, for /dev/kvm); otherwise there are none
	KeepSync   bool       // let fsync and its kin through; otherwise they do nothing, since a crash throws away what a sandbox wrote
	ExtraFiles []*os.File // descriptors 3 and up of the program

	Host bool // a plain process of the host, e.g. git: no namespaces; all fields about the sandbox must be unset
}

// MountType says what a [Mount] puts at its target.
type MountType int

const (
	Bind    MountType = iota // Source (directory or file, with the mounts below it), writable
	BindRO                   // Source, read-only
	Overlay                  // Lower directories stacked, written to Upper; read-only without Upper
	Tmpfs                    // an empty directory in memory
	Proc                     // /proc of the sandbox's own processes
	Sys                      // the host's /sys, read-only, without its firmware
	Dev                      // a minimal /dev: null zero full random urandom tty, pts, shm
)

// String is the type's name, e.g. "overlay".
func (t MountType) String() string {
	names := []string{"bind", "bind-ro", "overlay", "tmpfs", "proc", "sys", "dev"}
	if t < 0 || int(t) >= len(names) {
		return fmt.Sprintf("MountType(%d)", int(t))
	}
	return names[t]
}

// Mount is one mount of a sandbox, as data. All paths but Target are paths of the current root.
type Mount struct {
	Type   MountType
	Source string // of Bind and BindRO
	Target string // absolute path inside the sandbox, e.g. "/proc"; made when missing (and removed again); "/" makes the root
	Mode   uint32 // of Tmpfs; 0 is 0o1777

	Lower []string // of Overlay: directories, bottom first
	Upper string   // of Overlay: directory that receives what is written; "" makes it read-only
	Work  string   // of Overlay: directory on Upper's filesystem for the kernel's use; "" without Upper
}

// System is what most programs expect besides their root: /proc, /sys, /dev, and empty /tmp and /run.
func System() []Mount {
	return []Mount{{Type: Proc, Target: "/proc"}, {Type: Sys, Target: "/sys"}, {Type: Dev, Target: "/dev"},
		{Type: Tmpfs, Target: "/tmp"}, {Type: Tmpfs, Target: "/run", Mode: 0o755}}
}

// String is the mount on one line, e.g. "bind-ro /usr/src -> /src".
func (m Mount) String() string {
	switch m.Type {
	case Bind, BindRO:
		return fmt.Sprintf("%v %s -> %s", m.Type, m.Source, m.Target)
	case Overlay:
		s := fmt.Sprintf("%v %s", m.Type, strings.Join(m.Lower, " + "))
		if m.Upper != "" {
			s += " + upper " + m.Upper
		}
		return s + " -> " + m.Target
	}
	return fmt.Sprintf("%v -> %s", m.Type, m.Target)
}

// Describe lists the sandbox's root, mounts and network as text, one a line.
func (c *Cmd) Describe() string {
	if c.Host {
		return "host process\n"
	}
	var b strings.Builder
	if c.Root != "" {
		fmt.Fprintf(&b, "root %s\n", c.Root)
	}
	for _, m := range c.Mounts {
		fmt.Fprintln(&b, m)
	}
	if c.Network {
		b.WriteString("network of the host\n")
	} else {
		b.WriteString("no network\n")
	}
	return b.String()
}

// Line is the command as a line to paste into a shell (of the same sandbox), e.g. "cd /work && env -i PATH=/bin make".
func (c *Cmd) Line() string {
	var words []string
	if c.Dir != "" {
		words = append(words, "cd", Quote(c.Dir), "&&")
	}
	if !c.Host || c.Env != nil {
		words = append(words, "env", "-i")
		for _, e := range c.Env {
			words = append(words, Quote(e))
		}
	}
	for _, a := range c.Argv {
		words = append(words, Quote(a))
	}
	return strings.Join(words, " ")
}

// Quote is one word of a POSIX shell, e.g. "a b" is 'a b'.
func Quote(word string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_"
	if word != "" && strings.Trim(word, plain) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// name is the command in a message: its program and arguments as far as 60 characters go.
func (c *Cmd) name() string {
	words := make([]string, len(c.Argv))
	for i, a := range c.Argv {
		words[i] = Quote(a)
	}
	words[0] = Quote(path.Base(c.Argv[0]))
	s := strings.Join(strings.Fields(strings.Join(words, " ")), " ")
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:57], "") + "..."
	}
	return s
}

// check refuses what contradicts itself, before anything is started.
func (c *Cmd) check() error {
	if len(c.Argv) == 0 || c.Argv[0] == "" {
		return errors.New("sandbox: no program to run")
	}
	for _, s := range slices.Concat(c.Argv, c.Env, []string{c.Dir, c.Root, c.Hostname}) {
		if strings.ContainsRune(s, 0) {
			return fmt.Errorf("run %s: %q holds a zero byte", c.name(), s)
		}
	}
	if _, isFile := c.Stdin.(*os.File); c.TTY && !isFile {
		return fmt.Errorf("run %s: a terminal needs a file as standard input", c.name())
	}
	if c.Host {
		if c.Root != "" || c.Mounts != nil || c.UID != 0 || c.GID != 0 || c.Hostname != "" || c.Umask != 0 || c.TTY {
			return fmt.Errorf("run %s: a host command has no sandbox settings", c.name())
		}
		return nil
	}
	if c.Root != "" && !path.IsAbs(c.Root) {
		return fmt.Errorf("run %s: root %s is not absolute", c.name(), c.Root)
	}
	roots := 0
	if c.Root != "" {
		roots = 1
	}
	for i, m := range c.Mounts {
		if err := m.check(); err != nil {
			return fmt.Errorf("run %s: mount %v: %w", c.name(), m, err)
		}
		if path.Clean(m.Target) == "/" {
			if roots++; i > 0 || roots > 1 || m.Type > Overlay {
				return fmt.Errorf("run %s: mount %v: the root must be one bind or overlay, and first", c.name(), m)
			}
		}
	}
	return nil
}

func (m Mount) check() error {
	var paths []string
	switch m.Type {
	case Bind, BindRO:
		paths = []string{m.Source}
	case Overlay:
		paths = slices.Clone(m.Lower)
		if (m.Upper == "") != (m.Work == "") {
			return errors.New("an upper directory needs a work directory, and the reverse")
		}
		if m.Upper != "" {
			paths = append(paths, m.Upper, m.Work)
		}
		if len(paths) == 0 {
			return errors.New("nothing to stack")
		}
	case Tmpfs, Proc, Sys, Dev:
	default:
		return errors.New("unknown type")
	}
	for _, p := range append(paths, m.Target) {
		if !path.IsAbs(p) || strings.ContainsRune(p, 0) {
			return fmt.Errorf("path %q is not absolute", p)
		}
	}
	return nil
}
