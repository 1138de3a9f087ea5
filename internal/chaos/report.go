package chaos

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Line is the result in a line.
func (r *Result) Line() string {
	verdict := "ok"
	if r.Failed() {
		verdict = "FAILED"
	}
	line := fmt.Sprintf("%-6s %-58s %6d ops, %6d acked, %5d unknown, %5d sessions: lost %d, resurrected %d, lost updates %d, not found %d, expired %d, future %d, bounded %d; degraded after %s, recovered after %s",
		verdict, r.Cell.Name(), r.Operations, r.Acknowledged, r.Unknown, r.Sessions, r.Lost, r.Resurrected, r.LostUpdates, r.NotFound, r.Expired, r.Future, r.Bounded,
		short(r.Degraded), short(r.Recovered))
	if r.Unnoticed > 0 {
		line += fmt.Sprintf("; %d processes noticed nothing", r.Unnoticed)
	}
	if r.Err != nil {
		line += fmt.Sprintf("; error: %v", r.Err)
	}
	return line
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
		sum.Unknown += v.Unknown
		sum.Sessions += v.Sessions
		sum.Lost += v.Lost
		sum.Resurrected += v.Resurrected
		sum.LostUpdates += v.LostUpdates
		sum.NotFound += v.NotFound
		sum.Expired += v.Expired
		sum.Future += v.Future
		sum.Bounded += v.Bounded
	}
	return sum
}

const preamble = `# What was broken, and what became of the sessions

Written by ` + "`make chaos`" + `: %d cells, seed %d, %s. Each cell is a fault, a workload, how Redis is set
up, and the mirror that each perdure process keeps. Clients work through all processes while the fault comes and goes;
when all is well again every session is read through every process.

- **lost**: an acknowledged session, never removed, that is not readable through every process.
- **resurrected**: a session that is readable after an acknowledged removal: at once through the process that
  acknowledged it, through all others after the recovery.
- **lost updates**: acknowledged changes of a metadata key that are not there.
- **not found**: answers that a session does not exist, while it did.
- **others**: expired sessions that were served, and versions further ahead than clocks may differ.
- **bounded**: what would count as lost or not found, but lies where the promise ends: see the notes.

**%d operations, %d acknowledged, %d with an unknown outcome, %d sessions: %d lost, %d resurrected, %d lost updates,
%d wrong "not found", %d others.**

| cell | operations | acknowledged | unknown | lost | resurrected | lost updates | not found | others | bounded | degraded after | recovered after |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
`

// Markdown writes the report as a page.
func (r *Report) Markdown(w io.Writer) error {
	var b strings.Builder
	sum := r.Sum()
	fmt.Fprintf(&b, preamble, len(r.Results), r.Seed, r.Took.Round(time.Second),
		sum.Operations, sum.Acknowledged, sum.Unknown, sum.Sessions, sum.Lost, sum.Resurrected, sum.LostUpdates, sum.NotFound, sum.Expired+sum.Future)
	notes := map[string]int{}
	var order []string
	for i := range r.Results {
		c := &r.Results[i]
		name := c.Cell.Name()
		if why := c.Cell.Bound.Why; why != "" {
			if notes[why] == 0 {
				order = append(order, why)
				notes[why] = len(order)
			}
			name += fmt.Sprintf(" (%d)", notes[why])
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %s | %s |\n", name, c.Operations, c.Acknowledged, c.Unknown,
			c.Lost, c.Resurrected, c.LostUpdates, c.NotFound, c.Expired+c.Future, c.Bounded, short(c.Degraded), short(c.Recovered))
	}
	if len(order) > 0 {
		b.WriteString("\nWhere the promise ends:\n\n")
		for i, why := range order {
			fmt.Fprintf(&b, "%d. %s.\n", i+1, strings.ToUpper(why[:1])+why[1:])
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
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
