package siginfo

import (
	"fmt"
	"strings"
)

const (
	context  = 3       // equal lines shown around changes
	maxTable = 4 << 20 // entries; longer texts are shown as replaced
)

type edit struct {
	op   byte // ' ', '-' or '+'
	text string
}

// Diff is a unified diff of two texts, without the lines that name files.
func Diff(a, b string) []string {
	edits := lines(strings.Split(strings.TrimSuffix(a, "\n"), "\n"), strings.Split(strings.TrimSuffix(b, "\n"), "\n"))
	near := make([]bool, len(edits))
	for i, e := range edits {
		if e.op != ' ' {
			for j := max(0, i-context); j <= min(len(edits)-1, i+context); j++ {
				near[j] = true
			}
		}
	}
	var out []string
	before, after := 1, 1
	for i := 0; i < len(edits); {
		if !near[i] {
			before, after, i = before+1, after+1, i+1
			continue
		}
		head := len(out)
		out = append(out, "")
		from, to := before, after
		for ; i < len(edits) && near[i]; i++ {
			out = append(out, string(edits[i].op)+edits[i].text)
			if edits[i].op != '+' {
				before++
			}
			if edits[i].op != '-' {
				after++
			}
		}
		out[head] = fmt.Sprintf("@@ -%d,%d +%d,%d @@", from, before-from, to, after-to)
	}
	return out
}

// lines finds a shortest way from a to b.
func lines(a, b []string) []edit {
	var out []edit
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		out = append(out, edit{' ', a[0]})
		a, b = a[1:], b[1:]
	}
	var tail []edit
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		tail = append([]edit{{' ', a[len(a)-1]}}, tail...)
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	out = append(out, middle(a, b)...)
	return append(out, tail...)
}

func middle(a, b []string) []edit {
	var out []edit
	i, j := 0, 0
	if (len(a)+1)*(len(b)+1) <= maxTable {
		common := make([][]int, len(a)+1) // length of the longest common part of a[i:] and b[j:]
		for i := range common {
			common[i] = make([]int, len(b)+1)
		}
		for i := len(a) - 1; i >= 0; i-- {
			for j := len(b) - 1; j >= 0; j-- {
				if a[i] == b[j] {
					common[i][j] = common[i+1][j+1] + 1
				} else {
					common[i][j] = max(common[i+1][j], common[i][j+1])
				}
			}
		}
		for i < len(a) && j < len(b) {
			switch {
			case a[i] == b[j]:
				out = append(out, edit{' ', a[i]})
				i, j = i+1, j+1
			case common[i+1][j] >= common[i][j+1]:
				out = append(out, edit{'-', a[i]})
				i++
			default:
				out = append(out, edit{'+', b[j]})
				j++
			}
		}
	}
	for ; i < len(a); i++ {
		out = append(out, edit{'-', a[i]})
	}
	for ; j < len(b); j++ {
		out = append(out, edit{'+', b[j]})
	}
	return out
}
