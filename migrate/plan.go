package migrate

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/printable"
)

// Plan is what a migration would do.
type Plan struct {
	// Sessions are live, and let through by the filter.
	Sessions int64 `json:"sessions"`
	// Expired would stay behind. Tombstones, and epochs, would be carried along.
	Expired    int64 `json:"expired"`
	Tombstones int64 `json:"tombstones"`
	// Bytes are those of the records to be moved, as they are stored.
	Bytes int64 `json:"bytes"`
	// Held are those of Sessions that the target has a record of already.
	Held int64 `json:"held"`
	// Refused cannot be read; Errors are the first of them.
	Refused int64     `json:"refused"`
	Errors  []Failure `json:"errors"`
	// Life says how long the sessions still live, from the shortest on.
	Life []Span `json:"life"`
	// Duration is how long the look took, and Estimate about how long the
	// migration would.
	Duration time.Duration `json:"-"`
	Estimate time.Duration `json:"-"`
}

// Span is the number of sessions that live shorter than Below, and not shorter
// than the Span before. The last has no bound.
type Span struct {
	Below    time.Duration `json:"-"`
	Sessions int64         `json:"sessions"`
}

// spans are the bounds of Plan.Life.
var spans = [...]time.Duration{time.Minute, time.Hour, 6 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 30 * 24 * time.Hour, 0}

// writeToRead is how much longer it takes to store a session than to look it up.
const writeToRead = 3

// NewPlan looks at the source and, where to is not nil, for the same ids in the
// target, which must be able to take writes. It changes nothing. Errors are those of Run.
func NewPlan(ctx context.Context, from Source, to perdure.Backend, o Options) (Plan, error) {
	if err := o.check(from); err != nil {
		return Plan{}, err
	}
	began := time.Now()
	p := &planner{comparison: newComparison(from, to, VerifyOptions{Reading: o.Reading})}
	p.plan.Errors = []Failure{}
	for _, bound := range spans {
		p.plan.Life = append(p.plan.Life, Span{Below: bound})
	}
	p.refused = p.refuse
	p.tell = o.report(func() Result { return Result{} })
	defer p.tell.end()
	if to != nil {
		if err := o.once(ctx, to.Ping); err != nil {
			return p.plan, fmt.Errorf("the target takes no sessions: %w", err)
		}
	}
	if err := p.pass(ctx, from, p.look); err != nil {
		return p.plan, fmt.Errorf("reading the source: %w", err)
	}
	p.plan.Duration = time.Since(began)
	p.plan.Estimate = p.plan.Duration - p.asking/time.Duration(o.Workers) + writeToRead*p.asking/time.Duration(o.Workers)
	if o.Rate > 0 {
		p.plan.Estimate = max(p.plan.Estimate, time.Duration(p.plan.Sessions)*time.Second/time.Duration(o.Rate))
	}
	return p.plan, nil
}

// planner makes a plan.
type planner struct {
	*comparison
	mu     sync.Mutex
	plan   Plan
	asking time.Duration // of all workers, the target
}

func (p *planner) refuse(failures []Failure) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.plan.Refused += int64(len(failures))
	for _, f := range failures {
		if len(p.plan.Errors) < p.MaxErrors {
			p.plan.Errors = append(p.plan.Errors, Failure{printable.Clip(f.ID, maxPrinted), printable.Clip(f.Reason, maxPrinted)})
		}
	}
}

// look counts the records of a page.
func (p *planner) look(ctx context.Context, records []perdure.Record) error {
	now := perdure.MillisOf(p.Now())
	var live []perdure.Record
	p.mu.Lock()
	for i := range records {
		switch r := &records[i]; {
		case r.Live(now):
			live = append(live, *r)
			p.plan.Sessions++
			p.plan.Life[spanOf(r.Deadline()-now)].Sessions++
			p.plan.Bytes += int64(len(r.ID) + r.EncodedSize())
		case r.Kind == perdure.KindSession:
			p.plan.Expired++
		default:
			p.plan.Tombstones++
			p.plan.Bytes += int64(len(r.ID) + r.EncodedSize())
		}
	}
	p.mu.Unlock()
	if p.to == nil || len(live) == 0 {
		return nil
	}
	began := time.Now()
	held, err := p.load(ctx, p.to, live)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asking += time.Since(began)
	for i := range held {
		if held[i].Exists() {
			p.plan.Held++
		}
	}
	return err
}

func spanOf(left perdure.Millis) int {
	for i, bound := range spans {
		if left < perdure.Millis(bound.Milliseconds()) {
			return i
		}
	}
	return len(spans) - 1
}
