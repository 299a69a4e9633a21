package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"n3x/internal/diag"
	"n3x/internal/vm/guest"
	"n3x/internal/vmtest/control"
)

func (a *app) vm() *cobra.Command {
	c := &cobra.Command{
		Use:   "vm",
		Short: "Run machines, and use them from any terminal",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.vmRun(), a.vmSSH(), a.vmConsole(), a.vmList(), a.vmStop())
	return c
}

// place is where this user's machines are found.
func (a *app) place() (control.Place, error) {
	return control.Find(a.env["XDG_RUNTIME_DIR"], cacheHome(a.env))
}

func (a *app) vmList() *cobra.Command {
	asJSON := false
	c := &cobra.Command{
		Use:   "list",
		Short: "List the machines that run",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := a.place()
			if err != nil {
				return err
			}
			labs, swept, err := p.Labs(c.Context())
			if err != nil {
				return err
			}
			for _, name := range swept {
				fmt.Fprintf(a.stderr, "%s: %s\n", a.name, &control.KilledError{Name: name})
			}
			if asJSON {
				e := json.NewEncoder(a.stdout)
				e.SetIndent("", "  ")
				return e.Encode(append([]*control.Lab{}, labs...))
			}
			return a.showMachines(labs)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON: the labs, with their machines")
	return c
}

// showMachines lists machines for people.
func (a *app) showMachines(labs []*control.Lab) error {
	if len(labs) == 0 {
		fmt.Fprintf(a.stderr, "%s: no machines run\n", a.name)
		return nil
	}
	w := tabwriter.NewWriter(a.stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tMACHINE\tSTATE\tSINCE\tMEMORY\tACCEL\tPID\tFORWARDS\tIMAGE")
	for _, l := range labs {
		if len(l.Machines) == 0 {
			fmt.Fprintf(w, "%s\t-\t%s\t%s\t-\t-\t%d\t-\t-\n", l.Name, l.State, since(l.Since), l.PID)
		}
		for _, m := range l.Machines {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%d MiB\t%s\t%d\t%s\t%s\n", l.Name, m.Name, m.State, since(m.Since), m.Memory, or(m.Accel, "-"), m.PID,
				or(strings.Join(m.Forwards, ","), "-"), a.relative(m.Image))
		}
	}
	return w.Flush()
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// since is how long ago something was.
func since(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return time.Since(t).Round(time.Second).String()
}

func (a *app) vmStop() *cobra.Command {
	all, force := false, false
	c := &cobra.Command{
		Use:   "stop NAME... | --all",
		Short: "Shut machines down",
		Long: `Shut machines down by their power button; after a time that suits the machine (15 s with KVM, longer without) its plug is pulled. NAME is a
machine, or what was run with several of them. When the command returns, no process, socket or file of them is left but their logs.`,
		RunE: func(c *cobra.Command, names []string) error {
			if all != (len(names) == 0) {
				return diag.Userf(diag.Pos{}, "vm stop takes either names or --all").WithHint("n3x vm list shows what runs")
			}
			return a.stopMachines(c.Context(), names, force)
		},
	}
	c.Flags().BoolVar(&all, "all", false, "all machines of this user")
	c.Flags().BoolVar(&force, "force", false, "pull the plug at once")
	return c
}

func (a *app) stopMachines(ctx context.Context, names []string, force bool) error {
	p, err := a.place()
	if err != nil {
		return err
	}
	if names == nil {
		labs, _, err := p.Labs(ctx)
		if err != nil {
			return err
		}
		for _, l := range labs {
			names = append(names, l.Name)
		}
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, a.stopMachine(ctx, p, name, force))
	}
	return errors.Join(errs...)
}

func (a *app) stopMachine(ctx context.Context, p control.Place, name string, force bool) error {
	r, err := p.Find(ctx, name)
	var killed *control.KilledError
	if errors.As(err, &killed) {
		fmt.Fprintf(a.stderr, "%s: %s\n", a.name, killed)
		return nil
	}
	if err != nil {
		return err
	}
	said, err := r.Stop(ctx, force)
	if said != "" {
		fmt.Fprintf(a.stderr, "%s: %s\n", a.name, said)
	}
	return err
}

// terminalInput is the user's input, unless that is a terminal from which nothing is expected.
func (a *app) terminalInput() io.Reader {
	if f, ok := a.stdin.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return a.stdin
}

func (a *app) vmSSH() *cobra.Command {
	tty := false
	c := &cobra.Command{
		Use:   "ssh NAME [-- COMMAND...]",
		Short: "Open a root shell on a machine, or run a command there",
		Long: `Open a root shell on a machine, or run a command there. Neither network nor SSH server is needed, but qemu-guest-agent in the image (kas/test/agent.yml).

One word is a line for the machine's shell; several are a program and its arguments as they are. Standard input, output and errors flow while the command runs,
byte by byte as they are; its exit status is this command's. When n3x itself fails, the status is 255.`,
		Example: "  n3x vm ssh server-1\n  n3x vm ssh server-1 -- journalctl -fu k3s-server\n  tar c etc | n3x vm ssh server-1 -- 'tar x -C /tmp && ls /tmp'",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			status, err := a.runSSH(c.Context(), args[0], args[1:], tty)
			if err != nil && c.Context().Err() == nil {
				a.render(err)
				err, status = nil, 255
			}
			a.status = status
			return err
		},
	}
	c.Flags().BoolVarP(&tty, "tty", "t", false, "give the command a terminal")
	return c
}

func (a *app) runSSH(ctx context.Context, name string, words []string, tty bool) (status int, err error) {
	p, err := a.place()
	if err != nil {
		return 0, err
	}
	r, err := p.Machine(ctx, name)
	if err != nil {
		return 0, err
	}
	if len(words) > 0 && !tty {
		return r.Execute(ctx, words, a.terminalInput(), a.stdout, a.stderr)
	}
	t, err := control.OpenTerminal(a.stdin, a.stdout)
	if err != nil {
		return 0, err
	}
	if t == nil && len(words) > 0 {
		return 0, diag.Userf(diag.Pos{}, "--tty needs a terminal, and this is none")
	}
	if t == nil { // as ssh does: commands are read from standard input
		return r.Execute(ctx, []string{"/bin/sh", "-s"}, a.stdin, a.stdout, a.stderr)
	}
	defer t.Restore()
	status, err = r.Shell(ctx, words, or(a.env["TERM"], "dumb"), t, a.stdin, a.stdout)
	if errors.Is(err, guest.ErrGone) {
		fmt.Fprint(a.stdout, "\r\n")
	}
	return status, err
}

func (a *app) vmConsole() *cobra.Command {
	return &cobra.Command{
		Use:   "console NAME",
		Short: "Show a machine's serial console, and type on it",
		Long: `Show a machine's serial console: about a screenful of what it has shown, and then what comes. What is typed goes to the machine; Ctrl-] leaves.
Several terminals can look at one machine.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			p, err := a.place()
			if err != nil {
				return err
			}
			r, err := p.Machine(c.Context(), args[0])
			if err != nil {
				return err
			}
			t, err := control.OpenTerminal(a.stdin, a.stdout)
			if err != nil {
				return err
			}
			defer t.Restore()
			if t != nil {
				fmt.Fprintf(a.stderr, "%s: Ctrl-] leaves\r\n", a.name)
			}
			err = r.Look(c.Context(), a.stdin, a.stdout)
			if t != nil {
				fmt.Fprint(a.stdout, "\r\n")
			}
			return err
		},
	}
}
