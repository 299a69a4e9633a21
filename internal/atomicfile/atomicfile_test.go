package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestWriteReplacesWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "file")
	if err := Write(path, []byte("old"), 0o640); err != nil {
		t.Fatal(err)
	}
	stop := errors.New("stop")
	err := WriteFrom(path, 0o640, func(w io.Writer) error {
		io.WriteString(w, "half")
		return stop
	})
	if !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
	data, err := os.ReadFile(path)
	if err != nil || string(data) != "old" {
		t.Errorf("%q, %v: the old content is gone", data, err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("%v, %v: something is left beside the file", entries, err)
	}
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

func TestWriteIfChangedLeavesTheTime(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "f")
	if err := Write(path, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	old := time.Unix(1000, 0)
	if err := os.Chtimes(path, old, old); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		text string
		same bool
	}{{"x", true}, {"y", false}} {
		if err := WriteIfChanged(path, []byte(step.text), 0o644); err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if same := st.ModTime().Equal(old); same != step.same {
			t.Errorf("after writing %q: the time is the old one: %v, want %v", step.text, same, step.same)
		}
		if data, err := os.ReadFile(path); err != nil || string(data) != step.text {
			t.Errorf("content %q, %v, want %q", data, err, step.text)
		}
	}
}

func TestSymlink(t *testing.T) {
	t.Parallel()
	link := filepath.Join(t.TempDir(), "l")
	for _, target := range []string{"a", "b", "b"} {
		if err := Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		if got, err := os.Readlink(link); err != nil || got != target {
			t.Errorf("%s, %v, want %s", got, err, target)
		}
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "d", "lock")
	first, err := TryLock(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := TryLock(path); !errors.Is(err, ErrLocked) {
		t.Errorf("a second lock was given: %v", err)
	}
	got := make(chan error)
	go func() {
		l, err := WaitLock(path)
		if err == nil {
			l.Unlock()
		}
		got <- err
	}()
	first.Unlock()
	if err := <-got; err != nil {
		t.Error(err)
	}
}
