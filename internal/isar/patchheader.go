package isar

import (
	"bufio"
	"errors"
	"io"
	"mime"
	"os"
	"regexp"
	"strings"
)

// patchHeader is what a patch says about its origin, in the form of a mail.
type patchHeader struct{ author, date, message string }

var (
	authorForm = regexp.MustCompile(`[\S ]+ <\S+@\S+\.\S+>`)
	subjectTag = regexp.MustCompile(`\[.+?\]\s*`)
	mailStart  = regexp.MustCompile(`^From [a-z0-9]{40} `)
)

// readPatchHeader reads the lines before the first difference.
func readPatchHeader(path string) (patchHeader, error) {
	f, err := os.Open(path)
	if err != nil {
		return patchHeader{}, err
	}
	defer f.Close()
	var header []string
	lines := bufio.NewScanner(io.LimitReader(f, 64<<10))
	lines.Buffer(nil, 64<<10)
	for lines.Scan() {
		line := strings.ReplaceAll(lines.Text(), "\t", " ")
		if strings.HasPrefix(line, "Index: ") || strings.HasPrefix(line, "diff -") || strings.HasPrefix(line, "---") {
			break
		}
		header = append(header, line)
	}
	if err := lines.Err(); err != nil && !errors.Is(err, bufio.ErrTooLong) {
		return patchHeader{}, err
	}
	return parsePatchHeader(header), nil
}

// parsePatchHeader takes the mail's own lines out; the others are the message below the subject.
func parsePatchHeader(lines []string) patchHeader {
	var h patchHeader
	var subject string
	var rest []string
	for _, line := range lines {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		switch {
		case strings.HasPrefix(line, "Subject: "):
			subject = strings.TrimSpace(subjectTag.ReplaceAllString(value, ""))
			continue
		case key == "From" || key == "Author":
			if author := decodeAuthor(value); authorForm.MatchString(author) {
				h.author = author
				continue
			}
		case key == "Date":
			if h.date == "" && len(value) > 12 {
				h.date = value
			}
			continue
		case strings.EqualFold(key, "Signed-off-by") && h.author == "":
			if author := decodeAuthor(value); authorForm.MatchString(author) {
				h.author = author
			}
		case mailStart.MatchString(line):
			continue
		}
		rest = append(rest, line)
	}
	if subject != "" && (len(rest) == 0 || strings.TrimSpace(rest[0]) != subject) {
		rest = append([]string{subject, ""}, rest...)
	}
	if h.message = strings.Join(rest, "\n"); strings.TrimSpace(h.message) == "" {
		h.message = ""
	}
	return h
}

// decodeAuthor reads the encoded words of a mail's header.
func decodeAuthor(s string) string {
	out, err := new(mime.WordDecoder).DecodeHeader(strings.ReplaceAll(s, `"`, ""))
	if err != nil {
		return s
	}
	return out
}
