package vmtest

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Result is how a suite, or a twin of one, ended.
type Result struct {
	Suite   *Suite
	Twin    *Twin // nil is the suite itself
	Start   time.Time
	Took    time.Duration
	Skipped string // why it did not run
	Err     error  // why it failed, beyond its cases: machines that did not come up, images that could not be built
	Cases   []Case
	Events  []Event
	Dir     string // where consoles, captures and screenshots are
	Notes   []string
}

// Name is the suite's name, with the twin's.
func (r *Result) Name() string {
	if r.Twin != nil {
		return r.Suite.Name + " (" + r.Twin.Name + ")"
	}
	return r.Suite.Name
}

// Failed reports whether the suite failed. A twin fails when its step does not.
func (r *Result) Failed() bool { return r.Err != nil || r.Twin == nil && r.failedCase() != nil }

// Failure is why the suite failed; nil when it did not.
func (r *Result) Failure() error {
	if !r.Failed() {
		return nil
	}
	if c := r.failedCase(); c != nil && r.Twin == nil {
		return errors.Join(c.Err, r.Err)
	}
	return r.Err
}

// failedCase is the first case that failed.
func (r *Result) failedCase() *Case {
	for i := range r.Cases {
		if r.Cases[i].Err != nil {
			return &r.Cases[i]
		}
	}
	return nil
}

// judge decides about a twin: the right step must have failed, and none before it.
func (r *Result) judge() {
	if r.Twin == nil || r.Err != nil {
		return
	}
	switch c := r.failedCase(); {
	case c == nil:
		r.Err = fmt.Errorf("%s: nothing failed although %s: step %q cannot fail", r.Twin.Pos, r.Twin.Name, r.Twin.Fails)
	case errors.As(c.Err, new(*unanswered)): // whatever was asked, it is not known
		r.Err = fmt.Errorf("%s: step %q had to fail, but nobody answered, which proves nothing: %w", r.Twin.Pos, c.Name, c.Err)
	case c.Name != r.Twin.Fails:
		r.Err = fmt.Errorf("%s: step %q had to fail, but %q did: %w", r.Twin.Pos, r.Twin.Fails, c.Name, c.Err)
	default:
		r.Notes = append(r.Notes, fmt.Sprintf("step %q failed, as it had to: %v", c.Name, c.Err))
	}
}

// The JUnit format as Jenkins and GitLab read it (https://github.com/testmoapp/junitxml).
type (
	junitFile struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Name     string       `xml:"name,attr"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Errors   int          `xml:"errors,attr"`
		Skipped  int          `xml:"skipped,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name      string      `xml:"name,attr"`
		Tests     int         `xml:"tests,attr"`
		Failures  int         `xml:"failures,attr"`
		Errors    int         `xml:"errors,attr"`
		Skipped   int         `xml:"skipped,attr"`
		Time      string      `xml:"time,attr"`
		Timestamp string      `xml:"timestamp,attr"`
		Cases     []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name      string       `xml:"name,attr"`
		Class     string       `xml:"classname,attr"`
		File      string       `xml:"file,attr,omitempty"`
		Line      int          `xml:"line,attr,omitempty"`
		Time      string       `xml:"time,attr"`
		Failure   *junitReason `xml:"failure"`
		Error     *junitReason `xml:"error"`
		Skipped   *junitReason `xml:"skipped"`
		SystemOut string       `xml:"system-out,omitempty"`
	}
	junitReason struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes results as JUnit's XML.
func WriteJUnit(w io.Writer, results []*Result) error {
	file := junitFile{Name: "n3x"}
	var took time.Duration
	for _, r := range results {
		s := r.junit()
		file.Suites = append(file.Suites, s)
		file.Tests += s.Tests
		file.Failures += s.Failures
		file.Errors += s.Errors
		file.Skipped += s.Skipped
		took += r.Took
	}
	file.Time = seconds(took)
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(file); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

func (r *Result) junit() junitSuite {
	s := junitSuite{Name: r.Name(), Time: seconds(r.Took), Timestamp: r.Start.UTC().Format("2006-01-02T15:04:05")}
	add := func(c junitCase) {
		c.Class = r.Name()
		s.Tests++
		switch {
		case c.Failure != nil:
			s.Failures++
		case c.Error != nil:
			s.Errors++
		case c.Skipped != nil:
			s.Skipped++
		}
		s.Cases = append(s.Cases, c)
	}
	// A twin is one case: its steps are made to fail.
	if r.Twin == nil {
		for _, c := range r.Cases {
			add(c.junit())
		}
	}
	whole := junitCase{Name: "suite", File: r.Suite.Pos.File, Line: r.Suite.Pos.Line, Time: seconds(r.Took), SystemOut: printable(strings.Join(r.Notes, "\n"))}
	switch {
	case r.Skipped != "":
		whole.Skipped = &junitReason{Message: printable(r.Skipped)}
	case r.Err != nil:
		whole.Error = reason(r.Err)
	case r.Twin == nil:
		return s
	}
	add(whole)
	return s
}

func (c *Case) junit() junitCase {
	out := junitCase{Name: c.Name, File: c.Pos.File, Line: c.Pos.Line, Time: seconds(c.Took)}
	said := strings.Join(c.Notes, "\n")
	if c.Output != "" {
		said += "\n" + c.Output
	}
	out.SystemOut = printable(strings.TrimSpace(said))
	if c.Skipped != "" {
		out.Skipped = &junitReason{Message: c.Skipped}
	}
	if c.Err != nil {
		out.Failure = reason(c.Err)
	}
	return out
}

func reason(err error) *junitReason {
	text := printable(explain(err))
	first, _, _ := strings.Cut(text, "\n")
	return &junitReason{Message: first, Text: text}
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.3f", d.Seconds()) }

// printable leaves out what XML 1.0 has no form for: guests write all kinds of bytes.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\t' || r == '\n' || r >= ' ' && r != 0x7f && r != 0xfffd && r != 0xfffe && r != 0xffff {
			return r
		}
		return -1
	}, s)
}
