// SPDX-License-Identifier: MIT

package disk_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"n3x/internal/disk"
)

// TestForeignChecks builds every vector's layout with real tools and lets foreign programs look for faults.
func TestForeignChecks(t *testing.T) {
	tools := treeRunner{toolsTree(t)}
	files, err := filepath.Glob("testdata/vectors/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	layouts := map[string]string{
		"squashfs": "part / --source rootfs --fstype squashfs --align 1024 --part-name root\nbootloader --ptable gpt\n",
		"erofs":    "part / --source rootfs --fstype erofs --align 1024 --use-uuid --exclude-path boot\nbootloader --ptable gpt\n",
		"big-fat":  "part / --source rootfs --fstype vfat --exclude-path vmlinuz initrd.img --size 3G --mkfs-extraopts=\"-F 32\"\nbootloader --ptable gpt\n",
		"small-fat": "part /x --source rootfs --rootfs-dir ${IMAGE_ROOTFS}/home --fstype vfat --fixed-size 512K\n" +
			"part /y --fstype vfat --fixed-size 1M --mkfs-extraopts \"-F 12 -S 512\"\nbootloader --ptable gpt\n",
		"mkfs-options": "part / --source rootfs --fstype ext4 --mkfs-extraopts \"-O ^has_journal -E root_perms=700 -m 0\" --label x --use-uuid\n",
	}
	for _, file := range files {
		a, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		layouts[strings.TrimSuffix(filepath.Base(file), ".txtar")] = string(a.Files[0].Data)
		layouts[strings.TrimSuffix(filepath.Base(file), ".txtar")+" table"] = string(a.Files[1].Data)
	}
	for name, layout := range layouts {
		if strings.HasSuffix(name, " table") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			o := options(t, layout, 1)
			o.Runner, o.DeployPartitions = tools, true
			r, err := disk.Build(context.Background(), o)
			if err != nil {
				t.Fatal(err)
			}
			if want, ok := layouts[name+" table"]; ok {
				if diff := cmp.Diff(want, dump(t, r.Output)); diff != "" {
					t.Errorf("the table differs (-wic +n3x):\n%s", diff)
				}
			}
			checkTable(t, tools, r.Output)
			for i, p := range r.Partitions {
				checkFS(t, tools, o.WKS.Parts[i].Source, p)
			}
		})
	}
}

func checkTable(t *testing.T, tools treeRunner, image string) {
	t.Helper()
	if out := tools.check(t, "sfdisk", "--verify", image); !strings.Contains(out, "No errors detected") {
		t.Errorf("sfdisk: %s", out)
	}
	if strings.Contains(tools.check(t, "sfdisk", "-d", image), "label: gpt") {
		if out := tools.check(t, "sgdisk", "-v", image); !strings.Contains(out, "No problems found") {
			t.Errorf("sgdisk: %s", out)
		}
	}
}

func checkFS(t *testing.T, tools treeRunner, source string, p disk.Partition) {
	t.Helper()
	if p.File == "" || source == "rawcopy" || source == "empty" {
		return
	}
	if st, err := os.Stat(p.File); err != nil || st.Size() > p.Sectors*512 {
		t.Errorf("partition %d: %v, %d sectors", p.Number, err, p.Sectors)
	}
	switch p.FSType {
	case "ext2", "ext3", "ext4":
		tools.check(t, "e2fsck", "-fn", p.File)
	case "vfat", "msdos":
		if out := tools.check(t, "fsck.vfat", "-n", p.File); strings.Contains(out, "nconsisten") || strings.Contains(out, "ould be") {
			t.Errorf("partition %d: %s", p.Number, out)
		}
	case "squashfs":
		tools.check(t, "unsquashfs", "-s", p.File)
	case "erofs":
		tools.check(t, "fsck.erofs", p.File)
	case "swap":
		if out := tools.check(t, "swaplabel", p.File); !strings.Contains(out, p.FSUUID) {
			t.Errorf("partition %d: %s", p.Number, out)
		}
	}
}
