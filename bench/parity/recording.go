// SPDX-License-Identifier: MIT

package main

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// line is one line of a recording; which fields it has depends on its kind.
type line struct {
	BitBake string            `json:"bitbake"`
	Build   string            `json:"build"`
	Now     int64             `json:"now"`
	Env     map[string]string `json:"env"`
	CPUs    int               `json:"cpus"`
	PID     int               `json:"pid"`
	Python  string            `json:"python"` // sys.executable
	UUID    string            `json:"uuid"`
	MemInfo string            `json:"meminfo"`

	Number *int   `json:"s"`
	Text   string `json:"t"`

	MC        string             `json:"mc"`
	Base      *baseAnswer        `json:"base"`
	Recipe    *recipeAnswer      `json:"recipe"`
	Providers map[string]*string `json:"providers"`

	Multiconfigs []string     `json:"multiconfigs"`
	Messages     *[][2]string `json:"messages"`
	CPU          float64      `json:"cpu"`
	Error        string       `json:"error"`
	ErrorText    string       `json:"text"`
}

type baseAnswer struct {
	Vars  []variable `json:"vars"`
	Files []string   `json:"files"`
}

type recipeAnswer struct {
	Name  string `json:"name"`
	Error string `json:"error"`
	Text  string `json:"text"`

	PN              string              `json:"pn"`
	PV              string              `json:"pv"`
	PR              string              `json:"pr"`
	PE              string              `json:"pe"`
	Layer           *string             `json:"layer"`
	Priority        int                 `json:"priority"`
	Appends         []string            `json:"appends"`
	Skip            string              `json:"skip"`
	Provides        []string            `json:"provides"`
	RProvides       []string            `json:"rprovides"`
	Packages        []string            `json:"packages"`
	PackagesDynamic []string            `json:"packages_dynamic"`
	Depends         []string            `json:"depends"`
	RDepends        map[string][]string `json:"rdepends"`
	RRecommends     map[string][]string `json:"rrecommends"`
	RDependsAll     []string            `json:"rdepends_all"`
	RRecommendsAll  []string            `json:"rrecommends_all"`
	Inherits        []string            `json:"inherits"`
	Tasks           []string            `json:"tasks"`
	Parents         map[string][]string `json:"parents"`
	Preference      int                 `json:"preference"`
	World           bool                `json:"world"`
	Files           []string            `json:"files"`
	Vars            []variable          `json:"vars"`
}

// variable is the number of a name, the unexpanded and the expanded value, and flags.
type variable struct {
	name     int
	raw, val answer
	flags    map[string]int
}

// answer is the number of a text, -1 for None, or the name of an exception.
type answer struct {
	text      int
	exception string
}

func (a *answer) UnmarshalJSON(b []byte) error {
	if b[0] == '"' {
		return json.Unmarshal(b, &a.exception)
	}
	return json.Unmarshal(b, &a.text)
}

func (v *variable) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&v.name, &v.raw, &v.val, &v.flags})
}

type recording struct {
	file    *os.File
	decoder *json.Decoder
	texts   []string
}

func openRecording(name string) (*recording, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	var in io.Reader = bufio.NewReaderSize(f, 1<<20)
	if strings.HasSuffix(name, ".gz") {
		if in, err = gzip.NewReader(in); err != nil {
			return nil, err
		}
	}
	return &recording{file: f, decoder: json.NewDecoder(in)}, nil
}

func (r *recording) close() { _ = r.file.Close() }

// next is the next line that is not a text; nil at the end.
func (r *recording) next() (*line, error) {
	for {
		l := &line{}
		if err := r.decoder.Decode(l); err == io.EOF {
			return nil, nil
		} else if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, gzip.ErrHeader) {
			fmt.Printf("the recording is cut off; what it has is compared\n")
			return nil, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", r.file.Name(), err)
		}
		if l.Number == nil {
			return l, nil
		}
		if *l.Number != len(r.texts) {
			return nil, fmt.Errorf("%s: text %d follows %d", r.file.Name(), *l.Number, len(r.texts)-1)
		}
		r.texts = append(r.texts, l.Text)
	}
}

// text is the text of a number, ok false for None.
func (r *recording) text(n int) (s string, ok bool) {
	if n < 0 {
		return "", false
	}
	return r.texts[n], true
}
