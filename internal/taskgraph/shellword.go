package taskgraph

import "strings"

// wordPart reads one quoted or expanded part of a word, the way BitBake delimits it.
type wordPart struct {
	text string
	at   int
	out  strings.Builder // the part as it is written, without line continuations
}

const maxWordDepth = 200 // of quotes and substitutions inside of each other

// read reads the part that starts at the current character, depth levels inside of others.
func (w *wordPart) read(depth int) error {
	if depth > maxWordDepth {
		return errShell
	}
	c := w.text[w.at]
	w.at++
	switch c {
	case '\'':
		w.out.WriteByte(c)
		end := strings.IndexByte(w.text[w.at:], '\'')
		if end < 0 {
			return errShell
		}
		w.out.WriteString(w.text[w.at : w.at+end+1])
		w.at += end + 1
		return nil
	case '\\':
		if w.at == len(w.text) {
			return errShell
		}
		if w.text[w.at] != '\n' {
			w.out.WriteString(w.text[w.at-1 : w.at+1])
		}
		w.at++
		return nil
	case '"':
		w.out.WriteByte(c)
		return w.until('"', "$\\`", depth)
	case '`':
		w.out.WriteByte(c)
		return w.until('`', "$\\\"'", depth)
	}
	return w.dollar(depth)
}

// dollar reads what starts with a dollar sign, which was read.
func (w *wordPart) dollar(depth int) error {
	rest := w.text[w.at:]
	switch {
	case rest == "" || rest == "(" || strings.HasPrefix(rest, "(("):
		return errShell
	case rest[0] == '(':
		w.at++
		w.out.WriteString("$(")
		return w.until(')', "$\\`\"'", depth)
	case rest[0] == '{':
		w.at++
		w.out.WriteString("${")
		return w.until('}', "$\\`\"'", depth)
	}
	n := 0
	if strings.IndexByte("@*#?-$!0", rest[0]) >= 0 {
		n = 1
	} else {
		for n < len(rest) && isShellName(rest[n:n+1]) {
			n++
		}
	}
	w.out.WriteString("$" + rest[:n])
	w.at += n
	return nil
}

// until reads up to the character end; what starts with one of inner is a part of its own.
func (w *wordPart) until(end byte, inner string, depth int) error {
	for w.at < len(w.text) {
		c := w.text[w.at]
		switch {
		case c == end:
			w.at++
			w.out.WriteByte(c)
			return nil
		case strings.IndexByte(inner, c) >= 0:
			if err := w.read(depth + 1); err != nil {
				return err
			}
		default:
			w.out.WriteByte(c)
			w.at++
		}
	}
	return errShell
}

// substitutions are the commands that a word substitutes: those outside of quotes and, if asked for, those directly inside
// of double quotes.
func substitutions(word string, inQuotes bool) ([]string, error) {
	return substituted(word, "\\$`'\"", inQuotes)
}

// substituted is that for a text in which the characters special start a part.
func substituted(word, special string, inQuotes bool) ([]string, error) {
	var out []string
	for i := 0; i < len(word); {
		if strings.IndexByte(special, word[i]) < 0 {
			i++
			continue
		}
		w := wordPart{text: word, at: i}
		if err := w.read(0); err != nil {
			return nil, err
		}
		part := w.out.String()
		i = w.at
		switch {
		case part == "":
		case part[0] == '`':
			out = append(out, part[1:len(part)-1])
		case strings.HasPrefix(part, "$("):
			out = append(out, part[2:len(part)-1])
		case part[0] == '"' && inQuotes:
			inner, err := substituted(part[1:], "\\$`", false)
			if err != nil {
				return nil, err
			}
			out = append(out, inner...)
		}
	}
	return out, nil
}

// unquoted takes the quotes out of a word.
func unquoted(word string) string {
	var out strings.Builder
	for i := 0; i < len(word); i++ {
		switch c := word[i]; {
		case c == '\\' && i+1 < len(word):
			i++
			out.WriteByte(word[i])
		case c == '"' || c == '\'':
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}
