package solve

import (
	"bytes"
	"os"
	"strconv"
	"testing"
)

func TestShow(t *testing.T) {
	seed, _ := strconv.Atoi(os.Getenv("SEED"))
	r, _ := syntheticWorld(seed)
	var b bytes.Buffer
	writePackages(&b, r.Packages, false)
	t.Log(r.Foreign, r.Packages[0].Pin, r.Packages[len(r.Packages)-1].Pin, "\n"+b.String())
}
