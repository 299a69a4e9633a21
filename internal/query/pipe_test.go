package query

import (
	"bufio"
	"io"
	"testing"
)

// pipe is a stream between the test and the server.
type pipe struct {
	r     *io.PipeReader
	w     *io.PipeWriter
	lines *bufio.Reader
}

func newPipe() *pipe {
	r, w := io.Pipe()
	return &pipe{r, w, bufio.NewReader(r)}
}

func (p *pipe) Read(b []byte) (int, error)  { return p.r.Read(b) }
func (p *pipe) Write(b []byte) (int, error) { return p.w.Write(b) }

func (p *pipe) write(s string) { _, _ = io.WriteString(p.w, s) }
func (p *pipe) end()           { _ = p.w.Close() }

func (p *pipe) line(t *testing.T) string {
	t.Helper()
	s, err := p.lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return s
}
