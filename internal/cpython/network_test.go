package cpython

import (
	"context"
	"os"
	"strings"
	"testing"

	"n3x/internal/arch"
	"n3x/internal/bitbake/pyeval"
	"n3x/internal/debian/apt"
	"n3x/internal/diag"
	"n3x/internal/tools"
)

// treePython launches the python3 of a tools tree.
type treePython struct{ dir string }

func (p treePython) Python(context.Context, string) (argv, env []string, err error) {
	return InTree(p.dir, "/usr/bin:/bin")
}

// toolsTree makes a tools tree with python3 from Debian's real archive.
func toolsTree(t testing.TB) string {
	t.Helper()
	if os.Getenv("N3X_TEST_NETWORK") == "" {
		t.Skip("set N3X_TEST_NETWORK=1 to talk to deb.debian.org")
	}
	sources, err := apt.ParseSources("tools.list", []byte("deb http://deb.debian.org/debian trixie main\n"))
	if err != nil {
		t.Fatal(err)
	}
	keys, _ := apt.DebianKeyring("debian-archive-keyring.gpg")
	dl, dir := os.Getenv("N3X_TEST_DL_DIR"), t.TempDir()
	if dl == "" {
		dl = t.TempDir()
	}
	c, err := apt.Open(apt.Options{Sources: sources, Keyrings: [][]byte{keys}, Arches: []arch.Arch{arch.Host()}, DownloadDir: dl, Pool: "debian-trixie"})
	if err != nil {
		t.Fatal(err)
	}
	p, err := tools.New(tools.Options{Client: c, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	layers, err := p.Layers(t.Context(), "python3")
	if err != nil {
		t.Fatal(err)
	}
	return layers[0]
}

// TestNetworkTree runs Debian's python3 on this machine's file system, with the C extensions that need libraries of the tree,
// and gives it the corpus of vectors.
func TestNetworkTree(t *testing.T) {
	l := treePython{toolsTree(t)}
	r := New(l, Options{BitBake: "2.8.0"})
	defer r.Close()
	f := r.Bind(pyeval.Options{Cwd: "/", Environ: map[string]string{"PATH": "/usr/bin:/bin"}})
	d := newStore(t, f, nil)
	for expr, want := range map[string]string{
		"'%d.%d' % sys.version_info[:2]":                                             "3.13",
		"__import__('ssl').OPENSSL_VERSION":                                          "OpenSSL 3",
		"__import__('sqlite3').connect(':memory:').execute('select 6*7').fetchone()": "(42,)",
		"__import__('ctypes').CDLL(None).getpid() == os.getpid()":                    "True",
		"__import__('zlib').crc32(b'a')":                                             "3904355907",
		"__import__('lzma').compress(b'a')[:1]":                                      `b'\xfd'`,
		"__import__('hashlib').sha256(b'').hexdigest()[:8]":                          "e3b0c442",
		"__import__('decimal').Decimal('0.1') + 1":                                   "1.1",
		"__import__('subprocess').check_output(['sh', '-c', 'echo host']).decode()":  "host",
		"os.path.exists('/proc/self/fd')":                                            "True",
	} {
		got, err := f.Eval(t.Context(), expr, pyeval.Site{Vars: d, Pos: diag.Pos{File: "a.bb", Line: 1}})
		if !strings.HasPrefix(got, want) || err != nil {
			t.Errorf("%s: got %q, %v; want %q", expr, got, err, want)
		}
	}
	vectors(t, l)
}
