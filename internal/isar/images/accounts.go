package images

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"n3x/internal/diag"
	"n3x/internal/isar"
)

// entry is one user or group as its variable's flags describe it.
type entry struct {
	name  string
	exist bool
	flag  map[string]string // expanded
	words []string          // of the flag "flags"
}

func (e entry) has(word string) bool { return slices.Contains(e.words, word) }

// step is one program to run in the tree, with its standard input.
type step struct {
	argv  []string
	input string
}

var (
	userFlags  = []string{"expiredate", "inactive", "uid", "gid", "comment", "shell", "home", "groups", "password", "flags"}
	userWords  = []string{"no-create-home", "create-home", "system", "allow-empty-password", "clear-text-password", "force-passwd-change"}
	groupFlags = []string{"gid", "flags"}
	groupWords = []string{"system"}
)

// accounts makes or changes the groups of GROUPS and then the users of USERS.
func accounts(ctx context.Context, c *isar.Call) error {
	t, err := tree(c)
	if err != nil {
		return err
	}
	groups, err := readEntries(c, t, "GROUPS", "GROUP_", "/etc/group", groupFlags, groupWords)
	if err != nil {
		return err
	}
	users, err := readEntries(c, t, "USERS", "USER_", "/etc/passwd", userFlags, userWords)
	if err != nil {
		return err
	}
	for _, g := range groups {
		if s := groupStep(g); s != nil {
			if err := runStep(ctx, c, *s); err != nil {
				return fmt.Errorf("group %s: %w", g.name, err)
			}
		}
	}
	for _, u := range users {
		if u.flag["password"] != "" && u.has("clear-text-password") {
			if u.flag["password"], err = hashPassword(ctx, c, u.flag["password"]); err != nil {
				return fmt.Errorf("user %s: %w", u.name, err)
			}
		}
		for _, s := range userSteps(u) {
			if err := runStep(ctx, c, s); err != nil {
				return fmt.Errorf("user %s: %w", u.name, err)
			}
		}
	}
	return nil
}

func readEntries(c *isar.Call, t *isar.Tree, list, prefix, database string, flags, words []string) ([]entry, error) {
	names, err := c.Words(list)
	if err != nil {
		return nil, err
	}
	text, err := readFile(t, database)
	if err != nil {
		return nil, err
	}
	var out []entry
	for _, name := range names {
		e := entry{name: name, flag: map[string]string{}}
		e.exist = strings.HasPrefix(text, name+":") || strings.Contains(text, "\n"+name+":")
		set, err := c.Data.VarFlags(prefix + name)
		if err != nil {
			return nil, err
		}
		for f := range set {
			if !slices.Contains(flags, f) {
				if near := diag.Nearest(f, flags); near != "" {
					return nil, diag.Userf(c.Pos, "%s%s has the unknown flag [%s]", prefix, name, f).WithHint("did you mean [%s]?", near)
				}
				continue // BitBake's own flags
			}
			if e.flag[f], err = c.Flag(prefix+name, f); err != nil {
				return nil, err
			}
		}
		e.words = strings.Fields(e.flag["flags"])
		for _, w := range e.words {
			if !slices.Contains(words, w) {
				return nil, diag.Userf(c.Pos, "%s%s[flags] has the unknown word %q", prefix, name, w).WithHint("known words: %s", strings.Join(words, " "))
			}
		}
		out = append(out, e)
	}
	return out, nil
}

// groupStep is the command that gives a group what its entry asks for, nil when it has it.
func groupStep(g entry) *step {
	var args []string
	if gid := g.flag["gid"]; gid != "" {
		args = append(args, "--gid", gid)
	}
	if g.exist {
		if len(args) == 0 {
			return nil
		}
		return &step{argv: slices.Concat([]string{"/usr/sbin/groupmod"}, args, []string{g.name})}
	}
	if g.has("system") {
		args = append(args, "--system")
	}
	return &step{argv: slices.Concat([]string{"/usr/sbin/groupadd"}, args, []string{g.name})}
}

// userSteps are the commands that give a user what its entry asks for. The password is a hash by now.
func userSteps(u entry) []step {
	var args []string
	for _, o := range [][2]string{{"--expire", "expiredate"}, {"--inactive", "inactive"}, {"--uid", "uid"}, {"--gid", "gid"},
		{"--comment", "comment"}, {"--shell", "shell"}} {
		if v := u.flag[o[1]]; v != "" {
			args = append(args, o[0], v)
		}
	}
	if groups := strings.Fields(u.flag["groups"]); len(groups) > 0 {
		args = append(args, "--groups", strings.Join(groups, ","))
	}
	var steps []step
	home := u.flag["home"]
	if u.exist {
		if home != "" {
			args = append(args, "--home", home, "--move-home")
		}
		if len(args) > 0 {
			steps = append(steps, step{argv: slices.Concat([]string{"/usr/sbin/usermod"}, args, []string{u.name})})
		}
	} else {
		if home != "" {
			args = append(args, "--home-dir", home)
		}
		for _, w := range []string{"system", "no-create-home", "create-home"} {
			if u.has(w) {
				args = append(args, "--"+w)
			}
		}
		steps = append(steps, step{argv: slices.Concat([]string{"/usr/sbin/useradd"}, args, []string{u.name})})
	}
	if u.flag["password"] != "" || u.has("allow-empty-password") {
		steps = append(steps, step{argv: []string{"/usr/sbin/chpasswd", "-e"}, input: u.name + ":" + u.flag["password"] + "\n"})
	}
	if u.has("force-passwd-change") {
		steps = append(steps, step{argv: []string{"/usr/bin/passwd", "--expire", u.name}})
	}
	return steps
}

func runStep(ctx context.Context, c *isar.Call, s step) error {
	cmd, err := chrootCommand(c, s.argv...)
	if err != nil {
		return err
	}
	cmd.Stdin = strings.NewReader(s.input)
	return cmd.Run(ctx)
}

// hashPassword makes the SHA-512 crypt(5) hash of a clear-text password. The salt comes from SOURCE_DATE_EPOCH, so
// that two builds make the same image.
func hashPassword(ctx context.Context, c *isar.Call, password string) (string, error) {
	epoch, err := c.Value("SOURCE_DATE_EPOCH")
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(epoch + "\n"))
	cmd, cleanup, err := c.Command(ctx, "openssl", "passwd", "-6", "-salt", hex.EncodeToString(sum[:])[:15], "-stdin")
	if err != nil {
		return "", err
	}
	defer cleanup()
	var out bytes.Buffer
	cmd.Stdin, cmd.Stdout = strings.NewReader(password+"\n"), &out
	if err := cmd.Run(ctx); err != nil {
		return "", err
	}
	return strings.TrimSpace(out.String()), nil
}
