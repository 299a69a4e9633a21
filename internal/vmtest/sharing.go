package vmtest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"n3x/internal/diag"
)

// sharing groups suites that can run on the same machines, one after the other: these boot once, and each suite begins with the state after
// that. The groups are positions of jobs, in their order.
func sharing(jobs []job) [][]int {
	var out [][]int
	at := map[string]int{}
	for i, j := range jobs {
		key := j.machines()
		if g, ok := at[key]; ok && key != "" {
			out[g] = append(out[g], i)
			continue
		}
		at[key] = len(out)
		out = append(out, []int{i})
	}
	return out
}

// machines is equal for jobs with the same machines on the same network; "" is a job that has its own.
func (j *job) machines() string {
	if j.skipped != "" || j.err != nil || len(j.suite.Services) > 0 || j.edit != nil {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%q", j.suite.Profile)
	for i, m := range j.suite.Machines {
		m.Pos, m.Overlays, m.Image = diag.Pos{}, nil, j.images[i]
		fmt.Fprintf(&b, " %+v", m)
	}
	return b.String()
}

// together runs the suites of a group on one set of machines.
func (r *Runner) together(ctx context.Context, jobs []job, group []int, results [][]*Result) {
	var on stage
	for n, i := range group {
		if j := jobs[i]; j.skipped != "" {
			results[i] = []*Result{{Suite: j.suite, Skipped: j.skipped, Start: time.Now()}}
		} else {
			results[i], on = r.suite(ctx, j, on, n < len(group)-1)
		}
	}
}
