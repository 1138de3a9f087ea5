package chaos

import (
	"fmt"
	"time"
)

// Line is the result in a line.
func (r *Result) Line() string {
	verdict := "ok"
	if r.Failed() {
		verdict = "FAILED"
	}
	line := fmt.Sprintf("%-6s %-58s %s", verdict, r.Cell.Name(), r.Verdict.Line())
	line += fmt.Sprintf("; degraded after %s, well after %s", short(r.Degraded), short(r.Recovered))
	if r.Unnoticed > 0 {
		line += fmt.Sprintf("; %d processes noticed nothing", r.Unnoticed)
	}
	if r.Err != nil {
		line += fmt.Sprintf("; error: %v", r.Err)
	}
	return line
}

// Line is the verdict in a line.
func (v *Verdict) Line() string {
	return fmt.Sprintf("%s: %s; answered %.1f%% of calls", v.volume(), v.violations(), v.Calls.all().Share())
}

// volume says how much was done.
func (v *Verdict) volume() string {
	return fmt.Sprintf("%d ops: %d acked, %d unavailable, %d unknown; %d sessions", v.Operations, v.Acknowledged, v.Unavailable, v.Unknown, v.Sessions)
}

// violations says which promises were broken, and how often.
func (v *Verdict) violations() string {
	text := fmt.Sprintf("lost %d, resurrected %d, lost updates %d, not found %d, expired %d", v.Lost, v.Resurrected, v.LostUpdates, v.NotFound, v.Expired)
	for _, other := range []struct {
		name  string
		count int
	}{
		{"from the future", v.Future}, {"too old", v.Stale}, {"ends refused", v.EndsRefused},
		{"not announced", v.Unannounced}, {"strayed", v.Strayed}, {"unverified", v.Unverified}, {"bounded", v.Bounded},
	} {
		if other.count > 0 {
			text += fmt.Sprintf(", %s %d", other.name, other.count)
		}
	}
	return text
}

func short(d time.Duration) string {
	if d <= 0 {
		return "-"
	}
	return d.Round(time.Millisecond).String()
}

// Report is a run of a table.
type Report struct {
	Seed    uint64
	Took    time.Duration
	Results []Result
}

// Failed is how many cells broke a promise.
func (r *Report) Failed() (n int) {
	for i := range r.Results {
		if r.Results[i].Failed() {
			n++
		}
	}
	return n
}

// Sum adds the verdicts up.
func (r *Report) Sum() (sum Verdict) {
	for i := range r.Results {
		v := &r.Results[i].Verdict
		sum.Operations += v.Operations
		sum.Acknowledged += v.Acknowledged
		sum.Unavailable += v.Unavailable
		sum.Unknown += v.Unknown
		sum.Calls.sum(v.Calls)
		sum.Sessions += v.Sessions
		sum.Lost += v.Lost
		sum.Resurrected += v.Resurrected
		sum.LostUpdates += v.LostUpdates
		sum.NotFound += v.NotFound
		sum.Expired += v.Expired
		sum.Future += v.Future
		sum.Stale += v.Stale
		sum.EndsRefused += v.EndsRefused
		sum.Unannounced += v.Unannounced
		sum.Strayed += v.Strayed
		sum.Unverified += v.Unverified
		sum.Bounded += v.Bounded
	}
	return sum
}

// Add adds a result: to that of the same cell, where it was played before.
func (r *Report) Add(result Result) {
	for i := range r.Results {
		if old := &r.Results[i]; old.Cell == result.Cell {
			old.merge(&result)
			return
		}
	}
	r.Results = append(r.Results, result)
}

func (r *Result) merge(o *Result) {
	both := Report{Results: []Result{*r, *o}}
	examples := append(r.Examples, o.Examples...)
	r.Verdict = both.Sum()
	r.Examples = examples
	r.Took += o.Took
	r.Degraded, r.Recovered = max(r.Degraded, o.Degraded), max(r.Recovered, o.Recovered)
	r.Unnoticed += o.Unnoticed
	if r.Err == nil {
		r.Err = o.Err
	}
}
