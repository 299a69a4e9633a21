package vmtest

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"n3x/internal/diag"
)

//go:embed report.html
var reportPage string

// reportTemplate shows results; what is in it comes from guests, so that html/template has to escape it.
var reportTemplate = template.Must(template.New("report").Funcs(template.FuncMap{
	"seconds": func(d time.Duration) string { return fmt.Sprintf("%.1f s", d.Seconds()) },
	"explain": func(err error) string { return explain(err) },
}).Parse(reportPage))

// explain is an error with its notes and hints, as the terminal shows it.
func explain(err error) string {
	var b bytes.Buffer
	diag.Render(&b, "", err)
	return strings.TrimPrefix(strings.TrimSpace(b.String()), ": ")
}

// page is what the template shows.
type page struct {
	Failed, Skipped, Passed int
	Results                 []shown
}

type shown struct {
	*Result
	State    string
	Bars     []bar
	Consoles []artefact
	Pictures []artefact
	Files    []string
}

// bar is an event on the timeline, in thousandths of the suite's time.
type bar struct {
	Event
	Left, Width int
}

type artefact struct {
	Name, Text string
	Data       template.URL
}

// maxConsole bounds how much of a console a report shows; the whole one lies beside it.
const maxConsole = 100 << 10

// WriteHTML writes results as one HTML page that needs nothing else: timelines, consoles and screenshots are in it.
func WriteHTML(w io.Writer, results []*Result) error {
	var p page
	for _, r := range results {
		s := shown{Result: r, State: "passed"}
		switch {
		case r.Failed():
			s.State = "failed"
			p.Failed++
		case r.Skipped != "":
			s.State = "skipped"
			p.Skipped++
		default:
			p.Passed++
		}
		for _, e := range r.Events {
			s.Bars = append(s.Bars, bar{e, share(e.At.Sub(r.Start), r.Took), max(share(e.Took, r.Took), 2)})
		}
		if err := s.collect(); err != nil {
			return err
		}
		p.Results = append(p.Results, s)
	}
	return reportTemplate.Execute(w, p)
}

func share(part, whole time.Duration) int {
	if whole <= 0 {
		return 0
	}
	return int(min(max(part*1000/whole, 0), 1000))
}

// collect reads what the machines have left.
func (s *shown) collect() error {
	if s.Dir == "" {
		return nil
	}
	entries, err := os.ReadDir(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it ended before there were machines
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := filepath.Join(s.Dir, e.Name())
		switch filepath.Ext(name) {
		case ".console":
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			text := printable(string(data[max(0, len(data)-maxConsole):]))
			s.Consoles = append(s.Consoles, artefact{Name: e.Name(), Text: text})
		case ".png":
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			s.Pictures = append(s.Pictures, artefact{Name: e.Name(), Data: template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(data))})
		default:
			s.Files = append(s.Files, name)
		}
	}
	slices.Sort(s.Files)
	return nil
}
