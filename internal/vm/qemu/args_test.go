package qemu

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestArgs(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		m    Machine
		v    view
		want string
	}{
		{"image", Machine{Name: "a,b", Arch: "amd64", Firmware: &Firmware{}, Disks: []Disk{{Path: "x"}, {Path: "y", Writable: true, Serial: "s"}}},
			view{code: "/c,d", varsFD: 5, disks: []string{"/x,y.wic", "/y"}, serialFD: 3, qmpFD: 4, overlayFD: map[int]int{0: 6}},
			`-name a,,b -nodefaults -no-user-config -display none -machine q35,hpet=off -accel tcg,thread=multi -cpu max,-la57,-cx16 -smp 2 -m 1024M
-device virtio-rng-pci -smbios type=11,value=io.systemd.boot.kernel-cmdline-extra=systemd.default_device_timeout_sec=900 systemd.default_timeout_start_sec=900 no_timer_check
-drive if=pflash,unit=0,format=raw,readonly=on,file=/c,,d -add-fd fd=5,set=5 -drive if=pflash,unit=1,format=raw,auto-read-only=off,file=/dev/fdset/5
-chardev socket,id=serial,fd=3 -serial chardev:serial -chardev socket,id=qmp,fd=4 -mon chardev=qmp,mode=control
-add-fd fd=6,set=6 -blockdev {"driver":"qcow2","node-name":"disk0","discard":"unmap","cache":{"no-flush":true},"file":{"driver":"file","filename":"/dev/fdset/6","discard":"unmap","locking":"off","cache":{"no-flush":true}},"backing":{"driver":"raw","read-only":true,"file":{"driver":"file","filename":"/x,y.wic","read-only":true}}} -device virtio-blk-pci,drive=disk0,bootindex=1
-blockdev {"driver":"raw","node-name":"disk1","discard":"unmap","file":{"driver":"file","filename":"/y","discard":"unmap"}} -device virtio-blk-pci,drive=disk1,bootindex=2,serial=s`},
		{"direct", Machine{Arch: "arm64", Accel: KVM, CPUs: 4, Memory: 512, Kernel: "k", Initrd: "i", Append: "root=/dev/vda2 x=a,b", NoReboot: true,
			Terminal: &Terminal{}, Display: true, Channels: []string{"org.qemu.guest_agent.0", "x,y"}, NICs: []NIC{{User: &UserNet{Restrict: true, Forwards: []Forward{{2222, 22}}}}, {MAC: "02:00:00:00:00:01"}}},
			view{kernel: "/k", initrd: "/i", qmpFD: 3, nicFD: map[int]int{1: 4}, channelFD: []int{5, 6}, pictureFD: 7},
			`-name vm -nodefaults -no-user-config -display none -machine virt,gic-version=max -accel kvm -cpu host -smp 4 -m 512M
-device virtio-rng-pci -action reboot=shutdown
-kernel /k -initrd /i -append root=/dev/vda2 x=a,b
-chardev stdio,id=serial,mux=on,signal=off -mon chardev=serial,mode=readline -serial chardev:serial -chardev socket,id=qmp,fd=3 -mon chardev=qmp,mode=control
-device virtio-gpu-pci -add-fd fd=7,set=7 -device virtio-keyboard-pci -device virtio-serial-pci -chardev socket,id=channel0,fd=5 -device virtserialport,chardev=channel0,name=org.qemu.guest_agent.0
-chardev socket,id=channel1,fd=6 -device virtserialport,chardev=channel1,name=x,,y
-netdev user,id=net0,restrict=on,hostfwd=tcp:127.0.0.1:2222-:22 -device virtio-net-pci,id=nic0,netdev=net0,mac=52:54:00:12:34:56,romfile=,ctrl_vlan=off
-netdev dgram,id=net1,local.type=fd,local.str=4 -device virtio-net-pci,id=nic1,netdev=net1,mac=02:00:00:00:00:01,romfile=,ctrl_vlan=off`},
		{"direct, emulated", Machine{Arch: "arm64", Kernel: "k", Append: "ro", Paused: true}, view{kernel: "/k", serialFD: 3, qmpFD: 4},
			`-name vm -nodefaults -no-user-config -display none -machine virt,gic-version=max -accel tcg,thread=multi -cpu max,pauth-impdef=on -smp 2 -m 1024M
-device virtio-rng-pci -S -kernel /k -append ro systemd.default_device_timeout_sec=900 systemd.default_timeout_start_sec=900
-chardev socket,id=serial,fd=3 -serial chardev:serial -chardev socket,id=qmp,fd=4 -mon chardev=qmp,mode=control`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m := tt.m.withDefaults()
			if d := cmp.Diff(strings.Fields(tt.want), strings.Fields(strings.Join(m.args(tt.v), " "))); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestScale(t *testing.T) {
	t.Parallel()
	if KVM.Scale(3) != 3 || TCG.Scale(3) != 24 {
		t.Error("wrong scale")
	}
}
