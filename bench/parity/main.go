// SPDX-License-Identifier: MIT

// Command parity loads a build folder and compares each value of each recipe with what record.py has recorded of BitBake.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/pprof"
	"testing/fstest"
	"time"

	"n3x/internal/bitbake/pyeval"
	"n3x/internal/bitbake/recipe"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	p := &program{}
	flag.StringVar(&p.record, "record", "", "recording of record.py, a .jsonl or .jsonl.gz file")
	flag.IntVar(&p.examples, "n", 3, "examples to print of each kind of difference")
	flag.StringVar(&p.profile, "cpuprofile", "", "write a CPU profile of the load to this file")
	flag.StringVar(&p.memory, "memprofile", "", "write a memory profile after the load to this file")
	flag.BoolVar(&p.loadOnly, "load", false, "load only, and print times")
	flag.Parse()
	same, err := p.run(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if !same {
		os.Exit(1)
	}
}

type program struct {
	record, profile, memory string
	examples                int
	loadOnly                bool
}

func (p *program) run(ctx context.Context) (same bool, err error) {
	r, err := openRecording(p.record)
	if err != nil {
		return false, err
	}
	defer r.close()
	head, err := r.next()
	if err != nil {
		return false, err
	}
	w, loadErr, err := p.load(ctx, head)
	if err != nil || p.loadOnly {
		return loadErr == nil, err
	}
	c := newComparison(w, loadErr)
	for {
		l, err := r.next()
		if err != nil {
			return false, err
		}
		if l == nil {
			break
		}
		c.line(r, l)
	}
	c.finish()
	return c.print(p.examples), nil
}

// load loads the world that the recording was made of.
func (p *program) load(ctx context.Context, head *line) (w *recipe.World, loadErr, err error) {
	if p.profile != "" {
		f, err := os.Create(p.profile)
		if err != nil {
			return nil, nil, err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return nil, nil, err
		}
		defer pprof.StopCPUProfile()
	}
	opts := options(head)
	before, started := cpuTime(), time.Now()
	w, loadErr = recipe.Load(ctx, opts)
	wall, cpu := time.Since(started), cpuTime()-before
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fmt.Printf("loaded in %.2f s, %.2f CPU-seconds, %d MiB live, %d MiB peak\n", wall.Seconds(), cpu.Seconds(), m.HeapAlloc>>20, peakMemory()>>20)
	if p.memory != "" {
		f, err := os.Create(p.memory)
		if err != nil {
			return nil, nil, err
		}
		defer f.Close()
		if err := pprof.WriteHeapProfile(f); err != nil {
			return nil, nil, err
		}
	}
	runtime.KeepAlive(w)
	return w, loadErr, nil
}

// options make the world that the recorder has shown to BitBake.
func options(head *line) recipe.Options {
	answer := func(v any) pyeval.Func {
		return func(context.Context, pyeval.Site, []any, map[string]any) (any, error) { return v, nil }
	}
	return recipe.Options{
		TopDir: head.Build, Environ: head.Env, BitBake: head.BitBake,
		Overlays: []recipe.Overlay{{Path: "/proc", FS: fstest.MapFS{"meminfo": {Data: []byte(head.MemInfo)}}}},
		Python: pyeval.Options{
			Now: func() time.Time { return time.Unix(head.Now, 0) }, CPUs: head.CPUs, Run: runProgram, Python: head.Python,
			Funcs: map[string]pyeval.Func{"os.getpid": answer(head.PID), "uuid.uuid4": answer(head.UUID)},
		},
	}
}
