// SPDX-License-Identifier: MIT

package wks

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"n3x/internal/diag"
)

// parse reads text with the given variables; files named inc.wks can be included.
func parse(text string, vars map[string]string, template bool) (*File, []string, error) {
	var warned []string
	f, err := Parse("t.wks", []byte(text), Options{
		Var:      func(name string) (string, bool) { v, ok := vars[name]; return v, ok },
		Template: template,
		Include: func(name string) (string, []byte, error) {
			if v, ok := vars["file "+name]; ok {
				return name, []byte(v), nil
			}
			return "", nil, os.ErrNotExist
		},
		Warn: func(pos diag.Pos, text string) { warned = append(warned, fmt.Sprintf("%s: %s", pos, text)) },
	})
	return f, warned, err
}

func TestPart(t *testing.T) {
	offset := int64(64 << 10)
	tests := []struct {
		line string
		want Part
	}{
		{"part", Part{}},
		{"partition /boot", Part{Mountpoint: "/boot"}},
		{"part /boot # comment --active", Part{Mountpoint: "/boot"}},
		{`part / --source rootfs --fstype=ext4 --mkfs-extraopts "-T default" --label platform --align 1024 --exclude-path boot home --extra-space 1G`,
			Part{Mountpoint: "/", Source: "rootfs", FSType: "ext4", MkfsExtraOpts: "-T default", Label: "platform", Align: 1024,
				ExcludePaths: []string{"boot", "home"}, ExtraSpace: 1 << 20}},
		{`part --sourceparams="loader=grub-efi,title=a b,bare,x=" --size 16`,
			Part{Params: Params{{"loader", "grub-efi", true}, {"title", "a b", true}, {"bare", "", false}, {"x", "", true}}, Size: 16 << 10}},
		{"part --offset 64 --fixed-size 256K --no-table --hidden --active --mbr --use-uuid",
			Part{Offset: &offset, FixedSize: 256, NoTable: true, Hidden: true, Active: true, MBR: true, UseUUID: true}},
		{"part --offset 128s --type logical --system-id 0xA2 --ondrive mmcblk0",
			Part{Offset: &offset, Logical: true, SystemID: 0xa2, Disk: "mmcblk0"}},
		{"part --fsuuid abc", Part{FSUUID: "0x00000ABC"}},
		{"part --fsuuid 0Xdeadbeef --fstype msdos", Part{FSUUID: "0xDEADBEEF", FSType: "msdos"}},
		{"part --include-path a --include-path b c/d --change-directory e --rootfs-dir f",
			Part{IncludePaths: []Include{{"a", ""}, {"b", "c/d"}}, ChangeDirectory: "e", RootfsDir: "f"}},
		{"part --fsopt ro --fspass 1 --part-n name --part-t EF00 --uuid x --no-fstab --use-l --label l",
			Part{FSOptions: "ro", FSPassNo: "1", PartName: "name", PartType: "EF00", UUID: "x", NoFstabUpdate: true, UseLabel: true, Label: "l"}},
		{"part --overhead-factor 1.5 --extra-space 0", Part{OverheadFactor: 1.5, ExtraSpace: -1}},
	}
	for _, tt := range tests {
		f, _, err := parse(tt.line+"\nbootloader", nil, false)
		if err != nil {
			t.Errorf("%s: %v", tt.line, err)
			continue
		}
		want := tt.want
		want.Pos, want.Index = diag.Pos{File: "t.wks", Line: 1}, 1
		if want.Disk == "" {
			want.Disk = "sda"
		}
		if want.FSType == "" {
			want.FSType = "vfat"
		}
		if want.FixedSize == 0 {
			if want.OverheadFactor == 0 {
				want.OverheadFactor = 1.3
			}
			if want.ExtraSpace == 0 {
				want.ExtraSpace = 10240
			}
		}
		want.ExtraSpace = max(want.ExtraSpace, 0)
		if diff := cmp.Diff(&want, f.Parts[0]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.line, diff)
		}
	}
}

func TestBootloader(t *testing.T) {
	five := 5
	tests := []struct {
		text, variable string
		want           Bootloader
	}{
		{"bootloader", "", Bootloader{PTable: "msdos"}},
		{`bootloader --ptable gpt --timeout=5 --append "a b"`, "", Bootloader{PTable: "gpt", Timeout: &five, Append: "a b"}},
		{`bootloader --append "-- quiet" --configfile x.cfg --source s`, "more", Bootloader{PTable: "msdos", Append: "-- quiet more", ConfigFile: "x.cfg", Source: "s"}},
		{"bootloader", "only", Bootloader{PTable: "msdos", Append: "only"}},
		{`bootloader --append="--x y" --ptable=gpt-hybrid`, "", Bootloader{PTable: "gpt-hybrid", Append: "--x y"}},
	}
	for _, tt := range tests {
		f, _, err := parse(tt.text+"\npart", map[string]string{"APPEND": tt.variable}, false)
		if err != nil {
			t.Errorf("%s: %v", tt.text, err)
			continue
		}
		tt.want.Pos = diag.Pos{File: "t.wks", Line: 1}
		if diff := cmp.Diff(tt.want, f.Bootloader); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.text, diff)
		}
	}
}

func TestVariables(t *testing.T) {
	vars := map[string]string{
		"A": "/data", "B": "${A}/x", "PARTS": "part /one --size 1\n# no\npart /two --size 2", "EMPTY": "",
		"LINE": "part /home --size 3",
	}
	tests := []struct {
		text     string
		template bool
		want     string
	}{
		{"part ${A}", false, "/data"},
		{"part ${B}", false, "/data/x"},
		{"part ${B}", true, "${A}/x"}, // a template's values are expanded by who sets them
		{"${PARTS}\npart /three", true, "/one /two /three"},
		{"${LINE}\n${EMPTY}\npart /a", false, "/home /a"},
		{"part /a\n${UNSET}", true, "/a"},
		{"part \\\n  ${A} \\\n --size 3\npart /b", false, "/data /b"},
		{"include inc.wks\npart /last", false, "/in /last"},
	}
	vars["file inc.wks"] = "part /in\n"
	for _, tt := range tests {
		f, _, err := parse(tt.text, vars, tt.template)
		if err != nil {
			t.Errorf("%q: %v", tt.text, err)
			continue
		}
		var got []string
		for _, p := range f.Parts {
			got = append(got, p.Mountpoint)
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%q: got %s, want %s", tt.text, s, tt.want)
		}
	}
}

func TestPositions(t *testing.T) {
	f, _, err := parse("# x\n\npart /a \\\n --size 1\n${P}\npart /d", map[string]string{"P": "part /b\npart /c"}, true)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range f.Parts {
		got = append(got, fmt.Sprint(p.Mountpoint, p.Pos.Line, p.Index))
	}
	if want := "/a3 1 /b5 2 /c5 3 /d6 4"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func TestErrors(t *testing.T) {
	tests := []struct{ text, want, hint string }{
		{"prat / --size 1", `t.wks:1: unknown command "prat"`, "part"},
		{"\npart / --exclude-pth x", "t.wks:2: unknown option --exclude-pth", "--exclude-path"},
		{"part / --fstype ext5", `"ext5" is none of`, "ext"},
		{"part / --size 1Q", `option --size: invalid size "1Q"`, "512M"},
		{"part / --size", "option --size needs a value", ""},
		{"part / --size -5", "invalid size", ""},
		{"part / --size 99999999999G", "invalid size", ""},
		{"part / --mkfs-extraopts -F", "option --mkfs-extraopts needs a value", "--mkfs-extraopts=-F"},
		{"part / --active=yes", `option --active takes no value, but has "yes"`, ""},
		{"part / --fs ext4", "option --fs is ambiguous", ""},
		{"part / /mnt", `unexpected word "/mnt"`, ""},
		{"part / --size 1 --fixed-size 2", "exclude each other", ""},
		{"part / --fixed-size 2 --extra-space 3", "--fixed-size excludes", ""},
		{"part / --overhead-factor 0.5", "must be at least 1", ""},
		{"part / --overhead-factor nan", "is not a number", ""},
		{"part / --align x", `"x" is not a number of KiB`, ""},
		{"part / --system-id 0x100", "between 0x1 and 0xFF", ""},
		{"part / --fstype squashfs --label x", "squashfs has no label", ""},
		{"part / --fstype squashfs --fsuuid x", "squashfs has no UUID", ""},
		{"part / --fstype erofs --label x", "erofs has no label", ""},
		{"part / --use-label", "--use-label needs --label", ""},
		{"part / --fsuuid 123456789", "32 bit hexadecimal", "0xABCD1234"},
		{"part / --include-path a b c", "takes a path and the folder", ""},
		{"part / --label 'x", "no closing quotation mark '", ""},
		{`part / --label x\`, "", ""},
		{"part / --label ${NOPE}", "variable NOPE is not set", "WICVARS"},
		{"part / --label ${LOOP}", "variable LOOP refers to itself", ""},
		{"bootloader --ptable gtp\npart", `"gtp" is none of`, "gpt"},
		{"bootloader --timeout soon\npart", "not a number of seconds", ""},
		{"bootloader x\npart", "takes no argument", ""},
		{"bootloader\nbootloader\npart", "t.wks:2: more than one bootloader line", ""},
		{"include none.wks\npart", "include none.wks: file does not exist", ""},
		{"include a b\npart", "exactly one file name", ""},
		{"include self.wks", "include cycle: t.wks -> self.wks -> self.wks", ""},
		{"include bad.wks", "bad.wks:2: unknown command", ""},
		{"# nothing", "no partition in t.wks", "part /"},
	}
	vars := map[string]string{"LOOP": "${LOOP}", "file self.wks": "include self.wks", "file bad.wks": "\nfoo"}
	for _, tt := range tests {
		_, _, err := parse(tt.text, vars, false)
		if tt.want == "" {
			if err != nil {
				t.Errorf("%q: %v", tt.text, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q: got %v, want %s", tt.text, err, tt.want)
			continue
		}
		var e *diag.Error
		if !errors.As(err, &e) || e.Kind != diag.User || e.Pos.File == "" || !strings.Contains(e.Hint, tt.hint) {
			t.Errorf("%q: not a user's error with place and hint %q: %#v", tt.text, tt.hint, err)
		}
	}
}

func TestAllErrorsAtOnce(t *testing.T) {
	_, _, err := parse("part --size x\npart --align y\n", nil, false)
	if err == nil || strings.Count(err.Error(), "t.wks:") != 2 {
		t.Errorf("got %v", err)
	}
}

func TestWarnings(t *testing.T) {
	_, got, err := parse("part --extra-space=5M --exclude-path a --exclude-path b", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []string{"only the last --exclude-path counts (b)", "wic itself ignores --extra-space", "no bootloader line"} {
		if len(got) <= i || !strings.Contains(got[i], want) {
			t.Errorf("warnings %q lack %q", got, want)
		}
	}
}

// TestSplit holds Split against Python: shlex.split of each string, recorded with Python 3.13.
func TestSplit(t *testing.T) {
	for text, want := range map[string][]string{
		`a  b	c`:              {"a", "b", "c"},
		`--a="b c"d 'e f'`:    {"--a=b cd", "e f"},
		`a\ b "\"x\" \y" '\'`: {"a b", `"x" \y`, `\`},
		`"" ''`:               {"", ""},
		`a"'"b`:               {"a'b"},
	} {
		got, err := Split(text)
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: got %q, %v, want %q", text, got, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("part / --size 1\nbootloader --ptable gpt")
	f.Add("part ${A} \\\n --x='")
	f.Fuzz(func(t *testing.T, text string) {
		parse(text, map[string]string{"A": "${B}", "B": "${A}${A}", "APPEND": "x"}, len(text)%2 == 0)
	})
}
