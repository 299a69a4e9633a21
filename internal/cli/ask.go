package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"runtime/metrics"

	"n3x/internal/build"
	"n3x/internal/diag"
	"n3x/internal/metadata"
	"n3x/internal/query"
)

// ask answers those of bitbake's flags that build nothing. It needs no namespaces and nothing of the network.
func (a *app) ask(ctx context.Context, o build.Options, f *bitbakeFlags, targets []string) error {
	mo := a.metadataOptions(o)
	mo.Prefiles, mo.Postfiles = f.extraConfiguration(a.env, a.dir)
	mo.ConfigOnly = f.environment && len(targets) == 0 && f.buildFile == ""
	opened, err := metadata.Open(ctx, mo)
	if opened == nil {
		return err
	}
	defer opened.Close()
	a.tell(opened, f.quiet)
	return errors.Join(err, a.answer(ctx, opened, o, f, targets))
}

// answer prints what was asked for.
func (a *app) answer(ctx context.Context, opened *metadata.Opened, o build.Options, f *bitbakeFlags, targets []string) error {
	out := bufio.NewWriter(a.stdout)
	defer out.Flush()
	switch {
	case f.environment:
		if len(targets) > 1 {
			return diag.Userf(diag.Pos{}, "bitbake -e takes one target, not %d", len(targets)).WithHint("ask for one after the other")
		}
		q := query.Environment{BuildFile: f.buildFile, Dir: a.dir}
		if len(targets) == 1 {
			q.Target = targets[0]
		}
		return q.Write(ctx, out, opened.World)
	case f.versions:
		return query.WriteVersions(out, opened.World)
	case f.parse:
		_, err := fmt.Fprintln(out, query.ParseSummary(opened.World))
		return err
	case f.graph || len(f.signatures) > 0:
		return a.graphFiles(out, opened, o, f)
	}
	return fmt.Errorf("BUG: nothing to answer")
}

// metadataOptions are those of questions about a build folder.
func (a *app) metadataOptions(o build.Options) metadata.Options {
	a.spendMemory()
	return metadata.Options{TopDir: o.TopDir, Env: o.Env, Python: launcher{a}, Log: func(level, text string) {
		if level == "plain" {
			fmt.Fprintln(a.stderr, text)
		}
	}}
}

// spendMemory lets the heap grow further between two garbage collections, unless GOGC says how far: who only asks is done
// before most collections would pay. The larger the heap is, the less it may grow: openembedded-core takes 1.04 GB.
func (a *app) spendMemory() {
	if a.env["GOGC"] == "" {
		debug.SetGCPercent(400)
		runtime.SetFinalizer(&pacer{}, (*pacer).adjust)
	}
}

// pacer is garbage that each collection finds again.
type pacer struct{ _ [16]byte }

func (p *pacer) adjust() {
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(live)
	switch mb := live[0].Value.Uint64() >> 20; {
	case mb > 750: // no limit can be kept without collecting all the time
		debug.SetMemoryLimit(math.MaxInt64)
		debug.SetGCPercent(25)
	case mb > 300:
		debug.SetMemoryLimit(800 << 20)
		debug.SetGCPercent(35)
	case mb > 100:
		debug.SetGCPercent(100)
	}
	runtime.SetFinalizer(p, (*pacer).adjust)
}

// tell prints warnings and which classes were read, to standard error: the answer goes to standard output alone.
func (a *app) tell(opened *metadata.Opened, quiet int) {
	if quiet > 1 {
		return
	}
	for _, w := range opened.Warnings() {
		fmt.Fprintln(a.stderr, "WARNING: "+w.String())
	}
	if opened.Why != "" && quiet == 0 {
		fmt.Fprintln(a.stderr, "NOTE: "+opened.Why)
	}
}
