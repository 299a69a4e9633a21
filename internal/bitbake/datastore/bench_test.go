package datastore

import (
	"fmt"
	"strings"
	"testing"

	"n3x/internal/bitbake/syntax"
	"n3x/internal/diag"
)

// benchConf is a configuration of about the size of a distribution's, with a recipe's usual references and overrides.
func benchConf() string {
	var b strings.Builder
	b.WriteString("OVERRIDES = \"linux:${MACHINE}:${DISTRO}:pn-${PN}\"\nMACHINE = \"qemu\"\nDISTRO = \"poky\"\nPN = \"hello\"\n")
	for i := range 500 {
		fmt.Fprintf(&b, "V%d = \"value of ${PN} %d\"\nV%d:append = \" more\"\nV%d:qemu = \"for ${MACHINE} a b\"\nV%d:remove = \"a\"\nV%d[doc] = \"text\"\nC%d = \"${V%d} ${W%d}\"\n",
			i, i, i, i, i, i, i, i, i)
	}
	return b.String()
}

func benchData(b *testing.B) (*Data, *syntax.File) {
	b.Helper()
	f, err := syntax.Parse("t.conf", []byte(benchConf()))
	if err != nil {
		b.Fatal(err)
	}
	d := New()
	assignAll(b, d, f)
	return d, f
}

func assignAll(b *testing.B, d *Data, f *syntax.File) {
	for _, s := range f.Statements {
		if err := d.Assign(diag.Pos{File: "t.conf", Line: s.Line()}, s.(*syntax.Assignment)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkGetVar reads values that have been expanded before, and values that have not.
func BenchmarkGetVar(b *testing.B) {
	d, _ := benchData(b)
	for _, cached := range []bool{true, false} {
		b.Run(fmt.Sprintf("cached=%v", cached), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if !cached {
					d.forget()
				}
				if _, err := d.Value("C" + fmt.Sprint(i%500)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCopy makes a copy of a frozen store and writes a few variables to it, as is done for each recipe.
func BenchmarkCopy(b *testing.B) {
	d, _ := benchData(b)
	d.Freeze()
	b.ReportAllocs()
	for b.Loop() {
		c := d.Copy()
		for _, name := range []string{"PN", "V1", "V2:append", "NEW"} {
			if err := c.SetVar(name, "x"); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkAssign carries out the statements of a configuration on an empty store, and on one that shares what they make.
func BenchmarkAssign(b *testing.B) {
	base, f := benchData(b)
	for name, fresh := range map[string]func() *Data{"first": New, "again": func() *Data {
		d := New()
		d.ready, d.events = base.ready, base.events
		return d
	}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				assignAll(b, fresh(), f)
			}
		})
	}
}

// BenchmarkEmit writes what bitbake -e prints.
func BenchmarkEmit(b *testing.B) {
	d, _ := benchData(b)
	for b.Loop() {
		var out strings.Builder
		if err := d.Emit(&out); err != nil {
			b.Fatal(err)
		}
	}
}
