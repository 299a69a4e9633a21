// SPDX-License-Identifier: MIT

package bmap

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"
)

// file is a block map as bmaptool reads it.
type file struct {
	Version           string `xml:"version,attr"`
	ImageSize         string
	BlockSize         string
	BlocksCount       string
	MappedBlocksCount string
	ChecksumType      string
	BmapFileChecksum  string
	Range             []struct {
		Sum  string `xml:"chksum,attr"`
		Span string `xml:",chardata"`
	} `xml:"BlockMap>Range"`
}

func TestWrite(t *testing.T) {
	img := make([]byte, 10*4096+512)
	for i := range img {
		img[i] = byte(i / 4096)
	}
	m := NewMap(int64(len(img)))
	m.Add(0, 1)
	m.Add(4095+4096*2, 2) // touches two blocks
	m.Add(6*4096, 0)
	m.Add(10*4096+511, 1)
	var out bytes.Buffer
	if err := Write(context.Background(), &out, bytes.NewReader(img), m); err != nil {
		t.Fatal(err)
	}
	var f file
	if err := xml.Unmarshal(out.Bytes(), &f); err != nil {
		t.Fatal(err)
	}
	head := strings.Fields(f.Version + f.ImageSize + f.BlockSize + f.BlocksCount + f.MappedBlocksCount + f.ChecksumType)
	if got := strings.Join(head, " "); got != "2.0 41472 4096 11 4 sha256" {
		t.Errorf("head %s", got)
	}
	var spans []string
	for _, r := range f.Range {
		spans = append(spans, strings.TrimSpace(r.Span))
		var first, last int
		if n, _ := fmt.Sscanf(r.Span, " %d-%d", &first, &last); n == 1 {
			last = first
		}
		sum := sha256.Sum256(img[first*4096 : min((last+1)*4096, len(img))])
		if r.Sum != hex.EncodeToString(sum[:]) {
			t.Errorf("checksum of %s is %s", r.Span, r.Sum)
		}
	}
	if got := strings.Join(spans, " "); got != "0 2-3 10" {
		t.Errorf("ranges %s", got)
	}
	own := strings.TrimSpace(f.BmapFileChecksum)
	sum := sha256.Sum256(bytes.Replace(out.Bytes(), []byte(own), bytes.Repeat([]byte("0"), 64), 1))
	if own != hex.EncodeToString(sum[:]) {
		t.Errorf("own checksum %s", own)
	}
}
