package chaos

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

const preamble = `# What was broken, and what became of the sessions

Written by ` + "`make chaos`" + `, which took %s: %d cells, seed %d. Each cell is a fault, a workload, how Redis is set up, and
the mirror that each perdure process keeps; all else is as ` + "`perdure serve`" + ` has it by default, but for a setting that a cell
is about. Clients work through all processes while the fault comes and goes; when all is well again every session is read, and
every user's sessions are listed, through every process.

- **lost**: an acknowledged session, never removed, that is not readable through every process.
- **resurrected**: a session that is readable after an acknowledged removal: at once through the process that
  acknowledged it, through all others after the recovery.
- **lost updates**: acknowledged changes of a metadata key that are not there.
- **not found**: answers that a session does not exist, or lists without it, while it did.
- **expired**: sessions that were served after their end, as it was when they were: an expiry may be brought forward or put
  off, and an idle session ends by itself.
- **others**: versions further ahead than clocks may differ, copies older than is allowed, logouts refused for a full
  journal, logins and logouts that a watcher was not told of, sessions of another service, and migrations that ended with success
  while the two stores differed.
- **bounded**: what would count as lost or not found, but lies where the promise ends: see the notes.
- **unavailable**: calls that were refused before anything was done; **unknown**: those that may have been carried out.
- **well after**: how long after the fault every process was healthy again, with its journal merged.

**%s operations: %s acknowledged, %s unavailable, %s with an unknown outcome; %s sessions: %d lost, %d resurrected,
%d lost updates, %d wrong "not found", %d expired, %d others.**

`

// Markdown writes the report as a page.
func (r *Report) Markdown(w io.Writer) error {
	var b strings.Builder
	sum := r.Sum()
	fmt.Fprintf(&b, preamble, r.Took.Round(time.Second), len(r.Results), r.Seed,
		grouped(sum.Operations), grouped(sum.Acknowledged), grouped(sum.Unavailable), grouped(sum.Unknown), grouped(sum.Sessions),
		sum.Lost, sum.Resurrected, sum.LostUpdates, sum.NotFound, sum.Expired, sum.Others())
	r.recoveries(&b)
	sum.Calls.table(&b)
	r.cells(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// recoveries says how soon outages were over.
func (r *Report) recoveries(b *strings.Builder) {
	var over []*Result
	for i := range r.Results {
		if c := &r.Results[i]; c.Degraded > 0 && c.Cell.Tuning.RecoveryRate == 0 {
			over = append(over, c)
		}
	}
	if len(over) == 0 {
		return
	}
	slices.SortFunc(over, func(x, y *Result) int { return cmp.Compare(y.Recovered, x.Recovered) })
	fmt.Fprintf(b, "Of %d outages half were over, for every process, within %s of the end of the fault, and the longest, %s, after %s.\n\n",
		len(over), short(over[len(over)/2].Recovered), over[0].Cell.Name(), short(over[0].Recovered))
}

// table says how calls were answered while something was broken.
func (c *Calls) table(b *strings.Builder) {
	b.WriteString(`## What was answered while something was broken

From the fault on until all was well again: by kind of call, at the process that made the session (or of calls about none) and
at others.

| call | asked where it was made | answered | asked elsewhere | answered |
|---|--:|--:|--:|--:|
`)
	for _, kind := range kinds {
		here, there := c.Here[kind], c.There[kind]
		if here.Asked+there.Asked > 0 {
			fmt.Fprintf(b, "| %s | %s | %s | %s | %s |\n", kind, grouped(here.Asked), here.percent(), grouped(there.Asked), there.percent())
		}
	}
	b.WriteString("\nWhat was not answered, and why:\n\n| reason | calls |\n|---|--:|\n")
	for _, why := range slices.SortedFunc(maps.Keys(c.Reasons), func(x, y Reason) int { return cmp.Compare(c.Reasons[y], c.Reasons[x]) }) {
		fmt.Fprintf(b, "| %s | %s |\n", cmp.Or(why, OtherwiseGone), grouped(c.Reasons[why]))
	}
	b.WriteString("\n")
}

func (t Tally) percent() string {
	if t.Asked == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f %%", t.Share())
}

// grouped is a number with its thousands apart.
func grouped(n int) string {
	text := fmt.Sprint(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// cells says how each cell went, and where promises end.
func (r *Report) cells(b *strings.Builder) {
	b.WriteString(`## Every cell

| cell | operations | acknowledged | unavailable | unknown | lost | resurrected | lost updates | not found | expired | others | bounded | answered in the fault | degraded after | well after |
|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|
`)
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
		fmt.Fprintf(b, "| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d | %s | %s | %s |\n", name, c.Operations, c.Acknowledged, c.Unavailable, c.Unknown,
			c.Lost, c.Resurrected, c.LostUpdates, c.NotFound, c.Expired, c.Others(), c.Bounded, c.Calls.all().percent(), short(c.Degraded), short(c.Recovered))
	}
	if len(order) > 0 {
		b.WriteString("\nWhere the promise ends:\n\n")
		for i, why := range order {
			fmt.Fprintf(b, "%d. %s.\n", i+1, strings.ToUpper(why[:1])+why[1:])
		}
	}
}
