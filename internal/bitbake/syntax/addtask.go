package syntax

import (
	"slices"
	"strings"

	"n3x/internal/bitbake/pyeval/regex"
)

// oneTask reads addtask as BitBake did until 2.8: keywords are found inside of words too, and what the pattern cannot
// place is ignored.
var oneTask, _ = regex.Compile(`addtask\s+(\w+)\s*((before\s*(((.*(?=after))|(.*))))|(after\s*(((.*(?=before))|(.*)))))*`, 0)

// taskSteps bounds the work for one line.
type taskSteps int

// Step implements [regex.Limit].
func (t *taskSteps) Step() error {
	if *t--; *t < 0 {
		return regex.ErrSteps
	}
	return nil
}

// addOneTask reads an addtask statement of BitBake 2.8; done is false when it is none.
func (p *parser) addOneTask(n int, s string) (done bool, err error) {
	text := []rune(s)
	steps := taskSteps(1_000_000)
	found, err := oneTask.Find(text, 0, regex.Match, false, &steps)
	if err != nil {
		return false, p.unparsed(n, s)
	}
	if found == nil {
		return false, nil
	}
	group := func(i int) string {
		if found[2*i] < 0 {
			return ""
		}
		return string(text[found[2*i]:found[2*i+1]])
	}
	words := fields(s)
	if whole := group(0); len(fields(whole)) == 2 {
		if ignored := string(text[found[3]:]); ignored != "" {
			p.warn(n, `addtask ignored: "`+ignored+`"`)
		}
	}
	for _, kw := range []string{"before", "after"} {
		if i := slices.Index(words, kw); i >= 0 && slices.Contains(words[i+1:], kw) {
			p.warn(n, "addtask contained multiple '"+kw+"' keywords, only one is supported")
		}
	}
	if err := p.taskKeyword(n, s); err != nil {
		return true, err
	}
	p.add(&AddTask{line: line(n), Tasks: group(1), Before: strings.TrimSpace(group(4)), After: strings.TrimSpace(group(9))})
	return true, nil
}
