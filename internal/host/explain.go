package host

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"n3x/internal/diag"
	"n3x/internal/sandbox"
)

const userns = "n3x does its work in a user namespace, which needs no root but the kernel's permission"

// Explain turns a refusal of [sandbox.Enter] into an error that says what to type; any other error is returned as it is.
func (h Host) Explain(err error) error {
	var e *sandbox.EnterError
	if !errors.As(err, &e) {
		return err
	}
	var d *diag.Error
	switch e.Reason {
	case sandbox.NoHelper:
		d = userError(e, "%s is not installed", e.File).WithHint("%s", h.installLine())
		d.WithNote("%s lets an ordinary user have more than one id inside a user namespace", e.File)
	case sandbox.NoSubIDs:
		d = userError(e, "user %s has no range of sub-ids in %s", e.User, e.File).WithHint("%s", h.usermodLine(e.User))
	case sandbox.FewSubIDs:
		d = h.fewIDs(e)
	case sandbox.MapRefused:
		d = h.mapRefused(e)
	case sandbox.Exhausted:
		d = h.exhausted(e)
	case sandbox.Unsupported:
		d = userError(e, "this kernel (%s) has no user namespaces", h.release()).
			WithHint("use Linux %s or newer with CONFIG_USER_NS=y, or run n3x as root", minKernel)
	default:
		d = h.refused(e)
	}
	return d
}

func userError(e *sandbox.EnterError, format string, args ...any) *diag.Error {
	d := diag.Userf(diag.Pos{}, format, args...)
	d.Err = e
	if e.Reason == sandbox.Refused || e.Reason == sandbox.Exhausted || e.Reason == sandbox.Unsupported {
		d.WithNote("%v", e).WithNote(userns)
	}
	return d
}

func (h Host) fewIDs(e *sandbox.EnterError) *diag.Error {
	if e.File == "/etc/subuid" || e.File == "/etc/subgid" {
		return userError(e, "user %s has only %d sub-ids in %s, 65535 are needed", e.User, e.Count, e.File).
			WithHint("%s", h.usermodLine(e.User))
	}
	return userError(e, "only %d user or group ids exist here (%s), 1000 are needed", e.Count, e.File).
		WithHint("run n3x as the ordinary user outside of this namespace, or give the container more ids (podman: --uidmap and --gidmap, or a larger range in /etc/subuid)")
}

// mapRefused looks for what keeps the two set-uid programs from working.
func (h Host) mapRefused(e *sandbox.EnterError) *diag.Error {
	d := userError(e, "%s did not map the ids of this user", e.File)
	if e.Detail != "" {
		d.WithNote("%s", e.Detail)
	}
	switch {
	case h.status("NoNewPrivs") == "1":
		return d.WithNote("this process may not gain privileges (no_new_privs), so the set-uid program %s cannot work", e.File).
			WithHint("start n3x outside of the service, container or editor that sets no_new_privs (systemd: NoNewPrivileges=, docker: --security-opt no-new-privileges)")
	case !h.privileged(e.File):
		return d.WithNote("%s is neither set-uid root nor has file capabilities", e.File).
			WithHint("sudo chmod u+s %s", e.File)
	case strings.Contains(e.Detail, "not allowed"):
		return d.WithHint("give the user another range of its own: %s", h.usermodLine(e.User))
	}
	return d.WithHint("check that the filesystem of %s is not mounted nosuid, and that this container has the ids of /etc/subuid and /etc/subgid", e.File)
}

// privileged reports whether a program gains privileges when it is started.
func (h Host) privileged(program string) bool {
	var s unix.Stat_t
	if err := unix.Stat(h.path(program), &s); err != nil {
		return true // not this program's fault
	}
	n, err := unix.Getxattr(h.path(program), "security.capability", nil)
	return s.Mode&unix.S_ISUID != 0 || (err == nil && n > 0)
}

func (h Host) exhausted(e *sandbox.EnterError) *diag.Error {
	limit := h.read("/proc/sys/user/max_user_namespaces")
	if limit == "0" {
		return userError(e, "this machine allows no user namespaces (user.max_user_namespaces = 0)").
			WithHint("%s", sysctlLine("user.max_user_namespaces=65536"))
	}
	d := userError(e, "no more user namespaces may be made")
	if limit != "" {
		d.WithNote("user.max_user_namespaces = %s, and 32 levels are the most", limit)
	}
	return d.WithHint("%s", sysctlLine("user.max_user_namespaces=65536"))
}

// refused finds who said no, by what can be seen: the sysctls first, since they are the usual reason.
func (h Host) refused(e *sandbox.EnterError) *diag.Error {
	const clone, apparmor = "kernel.unprivileged_userns_clone", "kernel.apparmor_restrict_unprivileged_userns"
	switch {
	case h.read("/proc/sys/kernel/unprivileged_userns_clone") == "0":
		return userError(e, "user namespaces are forbidden to ordinary users (%s = 0)", clone).WithHint("%s", sysctlLine(clone+"=1"))
	case h.read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
		return userError(e, "AppArmor forbids user namespaces to programs without a profile (%s = 1)", apparmor).
			WithNote("instead of the sysctl, a profile in /etc/apparmor.d can allow one installed program: "+
				"profile n3x /usr/local/bin/n3x flags=(unconfined) { userns, }").
			WithHint("%s", sysctlLine(apparmor+"=0"))
	case h.read("/proc/sys/user/max_user_namespaces") == "0":
		return h.exhausted(e)
	case h.inChroot():
		return userError(e, "n3x runs inside a chroot, where Linux allows no user namespaces").
			WithHint("run it outside, or as root, or enter the directory with systemd-nspawn or `unshare` and pivot_root instead of chroot")
	case h.container() != "":
		return userError(e, "this %s container forbids user namespaces", h.container()).
			WithHint("%s run --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined ... "+
				"(or --privileged)", h.container())
	case h.status("Seccomp") == "2":
		return userError(e, "a seccomp filter around n3x forbids user namespaces").
			WithHint("allow them in the container or service that starts n3x (docker: --security-opt seccomp=unconfined, systemd: RestrictNamespaces=no)")
	}
	return userError(e, "the kernel refused a user namespace").
		WithHint("see `dmesg` for what a security module (SELinux, AppArmor, ...) has denied, or run n3x as root")
}

// sysctlLine sets a sysctl now and for later boots.
func sysctlLine(setting string) string {
	return "echo " + setting + " | sudo tee /etc/sysctl.d/60-n3x.conf && sudo sysctl -p /etc/sysctl.d/60-n3x.conf"
}
