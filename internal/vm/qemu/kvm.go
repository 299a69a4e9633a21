package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"n3x/internal/arch"
	"n3x/internal/atomicfile"
	"n3x/internal/sandbox"
)

// proofLimit is how long the proof guest may take under KVM; emulated it needs three seconds.
const proofLimit = 10 * time.Second

// Proof says whether KVM works, and why not.
type Proof struct {
	Works  bool   `json:"works"`
	Reason string `json:"reason,omitempty"` // why it does not, e.g. "/dev/kvm does not exist"
}

// Accel is KVM when it works, else TCG.
func (p Proof) Accel() Accel {
	if p.Works {
		return KVM
	}
	return TCG
}

// savedProof is a proof with all that it depends on: the host's boot, since a kernel or hypervisor may have changed, and
// the QEMU that was used.
type savedProof struct {
	Boot string `json:"boot"`
	QEMU string `json:"qemu"`
	Proof
}

// ProveKVM finds out whether machines of architecture a run under KVM, by booting a tiny guest: there are hosts whose
// /dev/kvm opens and makes machines, but whose guests hang in their firmware, or on which QEMU aborts. The result of a
// boot is kept in the file cache until the host is booted again; "" keeps nothing. The error is ctx's.
func (t Tools) ProveKVM(ctx context.Context, a arch.Arch, cache string) (Proof, error) {
	if a != arch.Host() {
		return Proof{Reason: fmt.Sprintf("the host is %s, the machine %s", arch.Host(), a)}, nil
	}
	dev, err := os.OpenFile(kvmDevice, os.O_RDWR, 0)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return Proof{Reason: kvmDevice + " does not exist"}, nil
	case errors.Is(err, os.ErrPermission):
		return Proof{Reason: kvmDevice + " may not be opened; adding the user to the group kvm usually helps"}, nil
	case err != nil:
		return Proof{Reason: err.Error()}, nil
	}
	dev.Close()
	want := savedProof{Boot: bootID(), QEMU: t.identity(a)}
	if old, ok := loadProof(cache); ok && want.Boot != "" && old.Boot == want.Boot && old.QEMU == want.QEMU {
		return old.Proof, nil
	}
	want.Proof = t.boot(ctx, a, KVM, proofLimit)
	if ctx.Err() != nil {
		return Proof{}, context.Cause(ctx)
	}
	if cache != "" && want.Boot != "" {
		data, err := json.Marshal(want)
		if err != nil {
			return Proof{}, err
		}
		// Without the file, the next run proves again.
		_ = atomicfile.Write(cache, append(data, '\n'), 0o666)
	}
	return want.Proof, nil
}

// boot runs the proof guest.
func (t Tools) boot(ctx context.Context, a arch.Arch, accel Accel, limit time.Duration) Proof {
	firmware, err := t.Firmware(a)
	if err != nil {
		return Proof{Reason: "it cannot be proven: " + err.Error()}
	}
	dir, err := os.MkdirTemp("", "n3x-kvm-")
	if err != nil {
		return Proof{Reason: "it cannot be proven: " + err.Error()}
	}
	defer os.RemoveAll(dir)
	image := filepath.Join(dir, "proof.efi")
	if err := os.WriteFile(image, proofImage(a), 0o666); err != nil {
		return Proof{Reason: "it cannot be proven: " + err.Error()}
	}
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	vm, err := Start(ctx, t, Machine{Name: "kvm-proof", Arch: a, Accel: accel, Memory: 256, Firmware: firmware, Kernel: image,
		NoReboot: true, Dir: dir, debugExit: a == "amd64"})
	if err == nil {
		err = vm.Wait()
	}
	if ctx.Err() != nil {
		return Proof{Reason: fmt.Sprintf("a guest does not get through its firmware within %v", limit)}
	}
	var exit *sandbox.ExitError
	switch {
	case errors.As(err, &exit) && exit.Status == proofStatus && a == "amd64":
		return Proof{Works: true}
	case err == nil && a == "arm64" && strings.HasSuffix(vm.Console().Recent(1), proofText):
		return Proof{Works: true}
	case err == nil:
		return Proof{Reason: "a guest ended before its firmware had started it"}
	}
	return Proof{Reason: strings.ReplaceAll(err.Error(), "\n", "; ")}
}

// bootID changes with every boot of the host.
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// identity tells one QEMU from another.
func (t Tools) identity(a arch.Arch) string {
	program := t.Program(a)
	real := program
	if len(t.Layers) > 0 {
		real = t.find(strings.TrimPrefix(program, "/"))
	}
	st, err := os.Stat(real)
	if err != nil {
		return real
	}
	return fmt.Sprintf("%s %d %d", real, st.Size(), st.ModTime().Unix())
}

func loadProof(file string) (savedProof, bool) {
	data, err := os.ReadFile(file)
	if err != nil {
		return savedProof{}, false
	}
	var p savedProof
	return p, json.Unmarshal(data, &p) == nil
}
