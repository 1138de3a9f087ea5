package chaos

import (
	"context"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/internal/raced"
)

// control is a cell of a product with a bug, that the suite has to catch.
type control struct {
	name   string
	cell   string
	change func(c *Cell)
	caught func(r *Result) int
	// options changes how the cell is played, where the bug takes that to show.
	options func(o *Options)
}

func resurrected(r *Result) int { return r.Resurrected }

var controls = []control{
	{
		name: "touch creates", cell: "partition/logout-races-touch/single/seen", caught: resurrected,
		change: func(c *Cell) {
			c.bareOthers = true
			c.wrap = func(s *site) func(perdure.Backend) perdure.Backend {
				seen := &sync.Map{}
				return func(front perdure.Backend) perdure.Backend { return touchCreates{incarnated(front), s, seen} }
			}
		},
	},
	{
		name: "removal without tombstone", cell: "partition/logout-races-touch/single/seen", caught: resurrected,
		change: func(c *Cell) {
			c.bareOthers = true
			c.wrap = func(s *site) func(perdure.Backend) perdure.Backend {
				return func(front perdure.Backend) perdure.Backend { return noTombstone{incarnated(front), s} }
			}
		},
	},
	{
		name: "replay overwrites newer", cell: "partition/two-sided-update/single/seen",
		caught: func(r *Result) int { return r.LostUpdates + r.Resurrected },
		change: func(c *Cell) {
			c.bareOthers = true
			c.wrap = func(*site) func(perdure.Backend) perdure.Backend {
				return func(front perdure.Backend) perdure.Backend { return overwrites{incarnated(front)} }
			}
		},
	},
	{
		name: "changes do not follow a rotation", cell: "partition/rotate-against-update/single/seen",
		caught: func(r *Result) int { return r.LostUpdates },
		change: func(c *Cell) {
			c.bareOthers = true
			c.wrap = func(*site) func(perdure.Backend) perdure.Backend {
				return func(front perdure.Backend) perdure.Backend { return carriesNothing{incarnated(front)} }
			}
		},
	},
	{
		name: "acknowledged before it is in the journal", cell: "perdure-killed-in-outage/login-storm/single/seen",
		caught: func(r *Result) int { return r.Lost },
		change: func(c *Cell) {
			c.afterKill = func(m *member) error { return os.RemoveAll(m.settings.Dir) }
		},
	},
	{
		name: "unbounded skew", cell: "clock-30s-ahead/logout-races-touch/single/seen",
		caught: func(r *Result) int { return r.Future },
		change: func(c *Cell) {
			c.Tuning.MaxClockSkew = 24 * time.Hour
			c.Fault.run = skew(time.Hour)
			c.wrap = func(*site) func(perdure.Backend) perdure.Backend { // nobody asks the server for the time
				return func(front perdure.Backend) perdure.Backend { return incarnated(front) }
			}
		},
	},
}

// plays is how often a bug is played, each time with another seed, until it shows: a
// migration has to be interrupted in the right moment, and some machines are too quick.
const plays = 10

// Each bug is caught: a suite that finds nothing proves nothing before that. The fault
// lasts until there was enough for the bug to show, however long that takes.
func TestTheSuiteCatchesBugs(t *testing.T) {
	raced.Skip(t)
	for _, control := range append(controls, planted...) {
		t.Run(control.name, func(t *testing.T) {
			t.Parallel()
			cell, ok := Find(control.cell)
			if !ok {
				t.Fatal("there is no such cell")
			}
			control.change(&cell)
			o := Options{Seed: 3, Before: 500 * time.Millisecond, Fault: 500 * time.Millisecond, Work: 400, Pace: 40 * time.Millisecond,
				Patience: 5 * time.Minute, Answer: 5 * time.Second, Settling: time.Minute}
			if control.options != nil {
				control.options(&o)
			}
			for range plays {
				r := Run(t.Context(), &cell, o)
				t.Log(r.Line())
				if control.caught(&r) > 0 {
					return
				}
				o.Seed++
			}
			t.Error("the bug was not caught")
		})
	}
}

// front is a front store that says which history it has, where it can.
type front struct{ perdure.Backend }

func incarnated(b perdure.Backend) front { return front{b} }

func (f front) Incarnation(ctx context.Context) (string, error) {
	if i, ok := f.Backend.(failover.Incarnated); ok {
		return i.Incarnation(ctx)
	}
	return "", nil
}

// erase removes the record of a session, tombstone or not, from the server.
func (s *site) erase(id string) error {
	_, err := s.single.Do("EVAL", "for _, k in ipairs(redis.call('KEYS', '*:s:' .. ARGV[1])) do redis.call('DEL', k) end", "0", id)
	return err
}

// touchCreates stores a session that a touch does not find.
type touchCreates struct {
	front
	site *site
	seen *sync.Map // the sessions that were put
}

func (b touchCreates) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	results, err := b.front.Apply(ctx, batches)
	if err != nil {
		return results, err
	}
	for i := range results {
		w := batches[i][0]
		if w.Op == perdure.OpPut && w.Record.Kind == perdure.KindSession {
			b.seen.Store(w.Record.ID, w.Record)
		}
		r, ok := b.seen.Load(w.Record.ID)
		if w.Op != perdure.OpTouch || results[i].Outcome != perdure.Absent || !ok {
			continue
		}
		if err := b.site.erase(w.Record.ID); err != nil {
			return nil, err
		}
		if _, err := b.front.Apply(ctx, []perdure.Batch{{{Op: perdure.OpPut, Record: r.(perdure.Record)}}}); err != nil {
			return nil, err
		}
		results[i] = perdure.Result{Outcome: perdure.Applied}
	}
	return results, nil
}

// noTombstone forgets what it removes.
type noTombstone struct {
	front
	site *site
}

func (b noTombstone) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	results, err := b.front.Apply(ctx, batches)
	if err != nil {
		return results, err
	}
	for i := range results {
		if w := batches[i][0]; w.Op == perdure.OpRemove && results[i].Outcome == perdure.Applied {
			if err := b.site.erase(w.Record.ID); err != nil {
				return nil, err
			}
		}
	}
	return results, nil
}

// overwrites has a replay replace what is stored.
type overwrites struct{ front }

func (b overwrites) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	return putOver(ctx, b.front, batches, func(w *perdure.Write, _ *perdure.Record) bool { return w.Reason == perdure.ReasonMerged })
}

// carriesNothing takes a session that was rotated for what it was when another of
// its records is merged into it.
type carriesNothing struct{ front }

func (b carriesNothing) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	results, err := b.front.Apply(ctx, batches)
	if err != nil {
		return results, err
	}
	for i := range results {
		w := batches[i][0]
		successor := w.Reason == perdure.ReasonMerged && w.Record.Kind == perdure.KindSession && w.Record.Parent != ""
		if successor && results[i].Outcome == perdure.Conflict && results[i].Stored.Kind == perdure.KindSession {
			results[i] = perdure.Result{Outcome: perdure.Applied}
		}
	}
	return results, nil
}
