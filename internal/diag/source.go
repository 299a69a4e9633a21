package diag

import (
	"bufio"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

const (
	maxSource = 8 << 20 // bytes of a file that are searched for a line
	maxLine   = 160     // bytes of a line that are shown
)

// source is the text of the line that err is about, "" when there is nothing to show: no place, an unreadable file, a blank
// line, or one that the error shows already.
func source(err error) string {
	var pos Pos
	shown := err.Error()
	walk(err, func(e *Error) {
		if pos.Line == 0 {
			pos = e.Pos
		}
		shown += "\n" + strings.Join(e.Notes, "\n")
	})
	line := strings.TrimSpace(readLine(pos))
	if line == "" || !utf8.ValidString(line) || strings.Contains(shown, line) || strings.Contains(shown, strings.Trim(strconv.Quote(line), `"`)) {
		return ""
	}
	if len(line) > maxLine {
		line = strings.ToValidUTF8(line[:maxLine], "") + " ..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' ' // no escape sequence of a file reaches the terminal
		}
		return r
	}, line)
}

// readLine is the text at pos, "" when it cannot be had.
func readLine(pos Pos) string {
	if pos.File == "" || pos.Line < 1 {
		return ""
	}
	if info, err := os.Stat(pos.File); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	f, err := os.Open(pos.File)
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, maxSource))
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		if n == pos.Line {
			return lines.Text()
		}
	}
	return ""
}
