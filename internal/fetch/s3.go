package fetch

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Objects of S3 and its likes. Requests are signed with AWS Signature Version 4 (the user's keys by the names that the
// AWS command line knows); without keys they are not signed, which public buckets accept.

// S3 says where buckets are and who asks. The zero value is AWS without keys.
type S3 struct {
	AccessKey, SecretKey, SessionToken string
	Region                             string // "" is us-east-1
	Endpoint                           string // e.g. "http://localhost:9000": buckets are folders there; "" is AWS
}

// S3From reads the settings of the AWS command line: variables (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
// AWS_SESSION_TOKEN, AWS_REGION, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL, AWS_PROFILE,
// AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE), then the files credentials and config in home/.aws.
func S3From(env func(name string) string, home string) (S3, error) {
	first := func(values ...string) string {
		for _, v := range values {
			if v != "" {
				return v
			}
		}
		return ""
	}
	profile := first(env("AWS_PROFILE"), env("AWS_DEFAULT_PROFILE"), "default")
	credentials, err := readProfile(first(env("AWS_SHARED_CREDENTIALS_FILE"), filepath.Join(home, ".aws/credentials")), profile)
	if err != nil {
		return S3{}, err
	}
	section := "profile " + profile
	if profile == "default" {
		section = profile
	}
	config, err := readProfile(first(env("AWS_CONFIG_FILE"), filepath.Join(home, ".aws/config")), section)
	if err != nil {
		return S3{}, err
	}
	s := S3{Region: first(env("AWS_REGION"), env("AWS_DEFAULT_REGION"), config["region"]),
		Endpoint: first(env("AWS_ENDPOINT_URL_S3"), env("AWS_ENDPOINT_URL"), config["endpoint_url"])}
	if env("AWS_ACCESS_KEY_ID") != "" {
		s.AccessKey, s.SecretKey, s.SessionToken = env("AWS_ACCESS_KEY_ID"), env("AWS_SECRET_ACCESS_KEY"), env("AWS_SESSION_TOKEN")
		return s, nil
	}
	for _, from := range []map[string]string{credentials, config} {
		if s.AccessKey == "" {
			s.AccessKey, s.SecretKey, s.SessionToken = from["aws_access_key_id"], from["aws_secret_access_key"], from["aws_session_token"]
		}
	}
	if env("AWS_PROFILE") != "" && len(credentials) == 0 && len(config) == 0 {
		return s, fmt.Errorf("AWS_PROFILE is %s, which neither ~/.aws/credentials nor ~/.aws/config has", profile)
	}
	return s, nil
}

// readProfile reads one section of a file of the AWS command line; a missing file is empty.
func readProfile(file, section string) (map[string]string, error) {
	f, err := os.Open(file)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	out := map[string]string{}
	in := false
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "[") {
			in = strings.TrimSpace(strings.Trim(line, "[]")) == section
			continue
		}
		if name, value, ok := strings.Cut(line, "="); ok && in {
			out[strings.TrimSpace(name)] = strings.TrimSpace(value)
		}
	}
	return out, lines.Err()
}

// address is where an object is fetched from.
func (c S3) address(bucket, key string) string {
	path := quotePath("/" + strings.TrimLeft(key, "/"))
	switch {
	case c.Endpoint != "":
		return strings.TrimRight(c.Endpoint, "/") + "/" + bucket + path
	case strings.Contains(bucket, "."): // a wildcard certificate does not cover such names
		return "https://s3." + c.region() + ".amazonaws.com/" + bucket + path
	}
	return "https://" + bucket + ".s3." + c.region() + ".amazonaws.com" + path
}

func (c S3) region() string {
	if c.Region == "" {
		return "us-east-1"
	}
	return c.Region
}

// emptySum is the SHA-256 of no bytes: the body of every request here.
const emptySum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// sign adds the headers of AWS Signature Version 4 to a request without body.
func (c S3) sign(req *http.Request, now time.Time) {
	if c.AccessKey == "" {
		return
	}
	stamp := now.UTC().Format("20060102T150405Z")
	req.Header.Set("X-Amz-Date", stamp)
	req.Header.Set("X-Amz-Content-Sha256", emptySum)
	if c.SessionToken != "" {
		req.Header.Set("X-Amz-Security-Token", c.SessionToken)
	}
	names := []string{"host"}
	for name := range req.Header {
		if n := strings.ToLower(name); strings.HasPrefix(n, "x-amz-") || n == "range" {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	var headers strings.Builder
	for _, n := range names {
		value := req.Header.Get(n)
		if n == "host" {
			value = req.URL.Host
		}
		headers.WriteString(n + ":" + strings.TrimSpace(value) + "\n")
	}
	signed := strings.Join(names, ";")
	canonical := strings.Join([]string{req.Method, req.URL.EscapedPath(), canonicalQuery(req.URL), headers.String(), signed, emptySum}, "\n")
	scope := stamp[:8] + "/" + c.region() + "/s3/aws4_request"
	sum := sha256.Sum256([]byte(canonical))
	text := "AWS4-HMAC-SHA256\n" + stamp + "\n" + scope + "\n" + hex.EncodeToString(sum[:])
	key := []byte("AWS4" + c.SecretKey)
	for _, part := range []string{stamp[:8], c.region(), "s3", "aws4_request", text} {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(part))
		key = h.Sum(nil)
	}
	req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+c.AccessKey+"/"+scope+", SignedHeaders="+signed+", Signature="+hex.EncodeToString(key))
}

func canonicalQuery(u *url.URL) string { return strings.ReplaceAll(u.Query().Encode(), "+", "%20") }

// downloadS3 brings an object. A bucket of another region says so, and is asked again there.
func (f *Fetcher) downloadS3(ctx context.Context, s, object *Source, local string) error {
	if err := f.allowed(object.URL); err != nil {
		return err
	}
	settings := f.o.S3
	err := f.downloadAs(ctx, s, settings.address(object.Host, object.Path), local, settings)
	if other := (*otherRegionError)(nil); asOtherRegion(err, &other) && settings.Endpoint == "" && other.region != settings.region() {
		settings.Region = other.region
		err = f.downloadAs(ctx, s, settings.address(object.Host, object.Path), local, settings)
	}
	return err
}
