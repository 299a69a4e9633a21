package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"n3x/internal/sandbox"
)

// scaffold is a directory of programs that come first in PATH while packages are installed. It is mounted, so that neither
// the root filesystem nor dpkg's database ever hold any of it.
type scaffold string

const (
	toolsDir = "/run/.n3x-tools"
	stateDir = "/run/.n3x-state"
)

// stubs are the programs that do nothing, or less than usual.
var stubs = map[string]string{
	// No service is started or stopped. invoke-rc.d and deb-systemd-invoke ask policy-rc.d, which forbids it.
	"policy-rc.d":       "#!/bin/sh\nexit 101\n",
	"start-stop-daemon": "#!/bin/sh\nexit 0\n",
	"initctl":           "#!/bin/sh\n[ \"$1\" = version ] && exit 1\nexit 0\n", // Upstart does not run

	// The initramfs is made once, when everything is installed: see [Initramfs].
	"update-initramfs": "#!/bin/sh\nexit 0\n",
	"dracut":           "#!/bin/sh\nexit 0\n",

	// Host keys belong to a host, not to an image; sshd-keygen.service or the image's own service makes them at first boot.
	"ssh-keygen": `#!/bin/sh
case " $* " in *" /etc/ssh/ssh_host_"*|*" -A "*) exit 0;; esac
PATH=${PATH#*:}
exec ssh-keygen "$@"
`,

	// depmod of a new kernel's modules has been started ahead, see besideDepmod: wait for it instead of repeating it,
	// provided that no module and no setting has changed meanwhile. Any other call is real.
	"depmod": `#!/bin/sh
PATH=${PATH#*:}
version=$1
[ "$1" = -a ] && version=$2
early=` + stateDir + `/depmod/$version
if [ $# -le 2 ] && [ -n "$version" ] && mv "$early.started" "$early.used" 2>/dev/null; then
	while [ ! -e "$early.done" ] && kill -0 "$(cat "$early.used")" 2>/dev/null; do sleep 0.05; done
	changed=$(find "/lib/modules/$version/" /etc/depmod.d /lib/depmod.d -cnewer "$early.used" -type f ! -name 'modules.*' 2>/dev/null | head -n 1)
	[ -e "$early.done" ] && [ -z "$changed" ] && exit 0
fi
exec depmod "$@"
`,
}

// newScaffold fills dir.
func newScaffold(dir string) (scaffold, error) {
	errs := []error{os.Mkdir(dir, 0o755), os.Mkdir(filepath.Join(dir, "bin"), 0o755), os.Mkdir(filepath.Join(dir, "state"), 0o755)}
	for name, script := range stubs {
		errs = append(errs, os.WriteFile(filepath.Join(dir, "bin", name), []byte(script), 0o755))
	}
	if err := errors.Join(errs...); err != nil {
		return "", fmt.Errorf("prepare to run dpkg: %w", err)
	}
	return scaffold(dir), nil
}

func (s scaffold) mounts() []sandbox.Mount {
	return []sandbox.Mount{
		{Type: sandbox.BindRO, Source: filepath.Join(string(s), "bin"), Target: toolsDir},
		{Type: sandbox.Bind, Source: filepath.Join(string(s), "state"), Target: stateDir},
	}
}

// masks puts stubs over the programs that are called by their full paths. They cannot stay during unpacking: dpkg could not
// replace the files then.
func (s scaffold) masks(stack Stack) []sandbox.Mount {
	over := func(name, target string) sandbox.Mount {
		return sandbox.Mount{Type: sandbox.BindRO, Source: filepath.Join(string(s), "bin", name), Target: target}
	}
	mounts := []sandbox.Mount{over("policy-rc.d", "/usr/sbin/policy-rc.d")}
	if _, err := stack.Lookup("sbin/start-stop-daemon"); err == nil {
		mounts = append(mounts, over("start-stop-daemon", "/sbin/start-stop-daemon"))
	}
	return mounts
}

// besideDepmod is the command line argv of dpkg together with depmod for the kernels that it is going to configure: that takes
// as long as all the other packages and needs none of them but kmod's files.
func besideDepmod(argv []string) []string {
	const script = `
mkdir -p ` + stateDir + `/depmod
for list in /var/lib/dpkg/info/linux-image-*.list; do
	version=$(sed -n 's,^\(/usr\)\{0,1\}/lib/modules/\([^/]*\)/kernel$,\2,p' "$list" 2>/dev/null | head -n 1)
	[ -n "$version" ] && [ ! -e "/lib/modules/$version/modules.dep" ] || continue
	grep -q '^[[:space:]]*depmod ' "${list%.list}.postinst" 2>/dev/null && command -v depmod >/dev/null || continue
	(
		exec 3>&-
		PATH=${PATH#*:}
		depmod "$version" && : > "` + stateDir + `/depmod/$version.done"
	) &
	echo $! > "` + stateDir + `/depmod/$version.started"
done
"$@"
status=$?
wait
exit $status
`
	return append([]string{"sh", "-c", script, "sh"}, argv...)
}
