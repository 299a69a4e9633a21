package fetch

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSignature holds the signature against the example "GET Object" of Amazon's documentation of Signature Version 4
// (sig-v4-header-based-auth).
func TestSignature(t *testing.T) {
	t.Parallel()
	req, err := http.NewRequest(http.MethodGet, "https://examplebucket.s3.amazonaws.com/test.txt", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Range", "bytes=0-9")
	S3{AccessKey: "AKIAIOSFODNN7EXAMPLE", SecretKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"}.sign(req, time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC))
	want := "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, " +
		"SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"
	if got := req.Header.Get("Authorization"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestS3 fetches from a server with S3's rules: a wrong key is refused, a bucket is a folder.
func TestS3(t *testing.T) {
	t.Parallel()
	keys := S3{AccessKey: "AK", SecretKey: "SK", SessionToken: "ST", Region: "eu-west-1"}
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		if err != nil {
			http.Error(w, "AccessDenied", http.StatusForbidden)
			return
		}
		again, _ := http.NewRequest(r.Method, "http://"+r.Host+r.URL.EscapedPath(), nil)
		if v := r.Header.Get("Range"); v != "" {
			again.Header.Set("Range", v)
		}
		keys.sign(again, at)
		if again.Header.Get("Authorization") != r.Header.Get("Authorization") {
			http.Error(w, "SignatureDoesNotMatch", http.StatusForbidden)
			return
		}
		fmt.Fprint(w, content)
	})
	o := Options{S3: keys}
	o.S3.Endpoint = srv.URL
	dl, err := fetchAll(t, o, "s3://bucket/dir/a%20b+c.txt;downloadfilename=x.txt;sha256sum="+sum(content))
	if err != nil || read(t, dl+"/x.txt") != content {
		t.Fatal(err, notes(err))
	}
	if srv.requests() != "/bucket/dir/a b+c.txt" {
		t.Errorf("asked for %s", srv.requests())
	}
	if dl, err = fetchAll(t, Options{S3: o.S3, Premirrors: mirrors(t, "https?://.*/.* s3://bucket/mirror/")}, "https://example.invalid/y.txt;sha256sum="+sum(content)); err != nil ||
		read(t, dl+"/y.txt") != content {
		t.Error("mirror:", err, notes(err))
	}
	o.S3.SecretKey = "other"
	if _, err = fetchAll(t, o, "s3://bucket/y.txt;sha256sum="+sum(content)); !strings.Contains(notes(err), "403 Forbidden") {
		t.Errorf("wrong key: %v", err)
	}
	if _, err = fetchAll(t, Options{S3: S3{Endpoint: srv.URL}, AllowedNetworks: []string{"elsewhere"}}, "s3://bucket/y.txt"); !strings.Contains(notes(err), "BB_ALLOWED_NETWORKS") {
		t.Errorf("not allowed: %v", err)
	}
}

func TestS3Settings(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	write(t, home+"/.aws/credentials", "[default]\naws_access_key_id = D\naws_secret_access_key = DS\n[ci]\naws_access_key_id=C\naws_secret_access_key=CS\naws_session_token=CT\n")
	write(t, home+"/.aws/config", "[default]\nregion = eu-central-1\n[profile ci]\nregion = us-west-2\nendpoint_url = http://minio:9000\n")
	for _, tt := range []struct {
		env  string
		want S3
	}{
		{"", S3{"D", "DS", "", "eu-central-1", ""}},
		{"AWS_PROFILE=ci", S3{"C", "CS", "CT", "us-west-2", "http://minio:9000"}},
		{"AWS_ACCESS_KEY_ID=E AWS_SECRET_ACCESS_KEY=ES AWS_REGION=r AWS_ENDPOINT_URL=http://e", S3{"E", "ES", "", "r", "http://e"}},
	} {
		env := map[string]string{}
		for _, kv := range strings.Fields(tt.env) {
			k, v, _ := strings.Cut(kv, "=")
			env[k] = v
		}
		if got, err := S3From(func(n string) string { return env[n] }, home); err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v", tt.env, got, err)
		}
	}
	if _, err := S3From(func(n string) string { return map[string]string{"AWS_PROFILE": "nope"}[n] }, home); err == nil {
		t.Error("a profile that is not there is taken")
	}
	for bucket, want := range map[string]string{"b": "https://b.s3.r.amazonaws.com/k%20x", "b.c": "https://s3.r.amazonaws.com/b.c/k%20x"} {
		if got := (S3{Region: "r"}).address(bucket, "/k x"); got != want {
			t.Errorf("%s: %s", bucket, got)
		}
	}
}

// TestNetrc: logins of ~/.netrc go to their host only, also after a redirect.
func TestNetrc(t *testing.T) {
	t.Parallel()
	var auth string
	other := serve(t, func(w http.ResponseWriter, r *http.Request) {
		u, p, _ := r.BasicAuth()
		auth += "[" + u + ":" + p + "]"
		fmt.Fprint(w, content)
	})
	srv := serve(t, func(w http.ResponseWriter, r *http.Request) {
		u, p, _ := r.BasicAuth()
		auth += "[" + u + ":" + p + "]"
		http.Redirect(w, r, strings.Replace(other.URL, "127.0.0.1", "localhost", 1)+"/real", http.StatusFound)
	})
	file := filepath.Join(t.TempDir(), ".netrc")
	for _, tt := range []struct{ netrc, want string }{
		{"machine 127.0.0.1 login me password \"se cret\" # x\nmacdef init\nmachine localhost login no\n\nmachine else login x password y\n", "[me:se cret][:]"},
		{"machine localhost\n login other\n password pw\n", "[:][other:pw]"},
		{"machine 127.0.0.1 login me password pw default login d password dp", "[me:pw][d:dp]"},
		{"", "[:][:]"},
	} {
		auth = ""
		if err := os.WriteFile(file, []byte(tt.netrc), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := fetchAll(t, Options{Netrc: file}, srv.URL+"/b.txt;sha256sum="+sum(content)); err != nil || auth != tt.want {
			t.Errorf("%q: %s, want %s (%v)", tt.netrc, auth, tt.want, err)
		}
	}
}
