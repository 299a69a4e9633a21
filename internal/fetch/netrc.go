package fetch

import (
	"net/http"
	"os"
	"strings"
)

// netrcEntry is who logs in at one host.
type netrcEntry struct{ machine, login, password string }

// readNetrc reads a netrc file as curl and wget do: tokens between white space, "default" for all other hosts. A missing
// or unreadable file is empty.
func readNetrc(file string) []netrcEntry {
	if file == "" {
		return nil
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil
	}
	var all []netrcEntry
	words := netrcWords(string(data))
	for i := 0; i < len(words); i++ {
		value := func() string {
			i++
			if i < len(words) {
				return words[i]
			}
			return ""
		}
		switch words[i] {
		case "machine":
			all = append(all, netrcEntry{machine: value()})
		case "default":
			all = append(all, netrcEntry{})
		case "login", "password", "account":
			kind := words[i]
			v := value()
			if len(all) == 0 {
				continue
			}
			switch last := &all[len(all)-1]; kind {
			case "login":
				last.login = v
			case "password":
				last.password = v
			}
		}
	}
	return all
}

// netrcWords splits a netrc file into tokens: without comments and the bodies of macros; double quotes keep blanks.
func netrcWords(text string) []string {
	var words []string
	macro := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if macro {
			macro = line != ""
			continue
		}
		for line != "" && line[0] != '#' {
			word, rest := "", ""
			if line[0] == '"' {
				word, rest, _ = strings.Cut(line[1:], `"`)
			} else if i := strings.IndexAny(line, " \t"); i >= 0 {
				word, rest = line[:i], line[i:]
			} else {
				word = line
			}
			if word == "macdef" {
				macro = true
				break
			}
			words = append(words, word)
			line = strings.TrimSpace(rest)
		}
	}
	return words
}

// netrc finds who logs in at a host.
func (f *Fetcher) netrc(host string) (e netrcEntry, ok bool) {
	f.netrcOnce.Do(func() { f.netrcEntries = readNetrc(f.o.Netrc) })
	for _, e := range f.netrcEntries {
		if e.machine == "" || strings.EqualFold(e.machine, host) {
			return e, e.login != ""
		}
	}
	return e, false
}

// logIn adds what a server wants to know about the user: what the source's own address says, else ~/.netrc.
func (f *Fetcher) logIn(req *http.Request, s *Source) {
	switch e, ok := f.netrc(req.URL.Hostname()); {
	case req.URL.User != nil || req.Header.Get("Authorization") != "":
	case s != nil && s.User != "" && s.Password != "" && s.Host == req.URL.Host:
		req.SetBasicAuth(s.User, s.Password)
	case ok:
		req.SetBasicAuth(e.login, e.password)
	}
}

// withLogins makes a client look for a login anew at each host that it is redirected to.
func (f *Fetcher) withLogins(c *http.Client) *http.Client {
	own := *c
	own.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if c.CheckRedirect != nil {
			if err := c.CheckRedirect(req, via); err != nil {
				return err
			}
		} else if len(via) >= 10 {
			return errManyRedirects
		}
		if e, ok := f.netrc(req.URL.Hostname()); ok && req.Header.Get("Authorization") == "" && req.URL.User == nil && req.URL.Hostname() != via[0].URL.Hostname() {
			req.SetBasicAuth(e.login, e.password)
		}
		return nil
	}
	return &own
}
