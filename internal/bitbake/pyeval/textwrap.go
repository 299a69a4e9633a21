// SPDX-License-Identifier: MIT

package pyeval

import (
	"strings"

	"go.starlark.net/starlark"
)

func makeTextwrap() *module { return ns("textwrap", map[string]impl{"dedent": textwrapDedent}, nil) }

// textwrapDedent takes away the white space that all lines begin with; lines of white space become empty and do not count.
func textwrapDedent(_ *run, a args) (starlark.Value, error) {
	v, err := a.bind("text")
	if err != nil {
		return nil, err
	}
	s, err := a.wantStr(v[0])
	if err != nil {
		return nil, err
	}
	lines := strings.Split(s, "\n")
	margin, first := "", true
	for i, line := range lines {
		rest := strings.TrimLeft(line, " \t")
		if rest == "" {
			lines[i] = ""
			continue
		}
		indent := line[:len(line)-len(rest)]
		if first {
			margin, first = indent, false
		}
		n := 0
		for n < min(len(margin), len(indent)) && margin[n] == indent[n] {
			n++
		}
		margin = margin[:n]
	}
	for i, line := range lines {
		lines[i] = strings.TrimPrefix(line, margin)
	}
	return text(strings.Join(lines, "\n")), nil
}
