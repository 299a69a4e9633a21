package recipe

import (
	"io"
	"strings"
)

// inclusion is one file that was read, and those that were read because of it, in order.
type inclusion struct {
	file     string
	children []*inclusion
}

// WriteIncludes prints the files of the default configuration and which of them read which, as `bitbake -e` begins.
func (w *World) WriteIncludes(out io.Writer) error {
	var b strings.Builder
	b.WriteString("#\n# INCLUDE HISTORY:\n#")
	if c := w.configs[""]; c != nil && c.base.includes != nil {
		c.base.includes.write(&b, 0)
	}
	b.WriteString("\n")
	_, err := io.WriteString(out, b.String())
	return err
}

func (i *inclusion) write(b *strings.Builder, level int) {
	for _, c := range i.children {
		b.WriteString("\n# " + strings.Repeat("  ", level) + c.file)
		if len(c.children) > 0 {
			b.WriteString(" includes:")
		}
		c.write(b, level+1)
	}
}

// enter notes that a file is being read, by the name it was asked for; the returned function ends that. Only configurations
// keep such a record.
func (e *evaluator) enter(name string) (leave func()) {
	parent := e.includes
	if parent == nil {
		return func() {}
	}
	child := &inclusion{file: name}
	parent.children = append(parent.children, child)
	e.includes = child
	return func() { e.includes = parent }
}
