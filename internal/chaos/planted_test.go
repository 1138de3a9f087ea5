package chaos

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure"
)

// plant is what a process with a bug makes of a request.
type plant = func(q Request, do func(Request) Reply) Reply

// planted are bugs of whole processes: what they say is not so.
var planted = []control{
	{
		name: "a copy outlives an expiry that was brought forward", cell: "partition/changing-ends/single/default",
		caught: func(r *Result) int { return r.Expired }, change: plants(staleCopies),
	},
	{
		name: "a copy outlives what a stopped process missed", cell: "perdure-stopped/changing-ends/single/default",
		caught: func(r *Result) int { return r.Expired }, change: plants(staleCopies),
	},
	{
		name: "a copy outlives a gap in the feed", cell: "feed-gap/logout-races-touch/single/full",
		caught: resurrected, change: plants(staleCopies),
	},
	{
		name: "a touch is acknowledged and not made", cell: "partition/idle/single/default",
		caught: func(r *Result) int { return r.NotFound + r.Lost }, change: plants(func() plant { return pretends(Touch) }),
		options: func(o *Options) { o.Fault = 3 * time.Second }, // longer than a session may be idle
	},
	{
		name: "a list lacks a session", cell: "kill-restart/revoke-races-login/single/full",
		caught: func(r *Result) int { return r.NotFound + r.Lost }, change: plants(func() plant { return shortLists }),
	},
	{
		name: "what is unavailable is called invalid", cell: "kill-restart/login-storm/single/seen",
		caught: func(r *Result) int { return r.NotFound }, change: plants(func() plant { return knowsBetter(Validate) }),
	},
	{
		name: "what is on its way back is called not found", cell: "empty-and-slow-to-fill/login-storm/single/default",
		caught: func(r *Result) int { return r.NotFound },
		change: func(c *Cell) { c.Fault.run, c.plant = fillSlowly(200), knowsBetter(Read) },
	},
	{
		name: "a sweep takes what is in use", cell: "sweeper-2h/idle/single/default",
		caught: func(r *Result) int { return r.Lost }, change: plants(sweepsLatest),
	},
	{
		name: "logouts made with a wrong clock do not hold", cell: "clock-step-40s/logout-races-touch/single/default",
		caught: resurrected, change: plants(func() plant { return pretends(Delete) }),
	},
	{
		name: "logouts on a living shard do not hold", cell: "shard-down/logout-races-touch/sharded/default",
		caught: resurrected, change: plants(func() plant { return pretends(Delete) }),
	},
	{
		name: "a full journal refuses logouts", cell: "journal-full/logout-races-touch/single/default",
		caught: func(r *Result) int { return r.EndsRefused }, change: plants(refusesEnds),
	},
	{
		name: "a copy is served at any age", cell: "max-age-2s/touch-heavy/single/default",
		caught: func(r *Result) int { return r.Stale },
		change: func(c *Cell) {
			c.Tuning.MaxAge = 50 * time.Millisecond
			c.plant = servesAnyAge()
		},
	},
	{
		name: "nobody notices that there are too many clients", cell: "maxclients/logout-races-touch/single/default",
		caught:  func(r *Result) int { return r.Unnoticed },
		change:  func(c *Cell) { c.bareOthers = true },
		options: func(o *Options) { o.Patience = 5 * time.Second }, // which a process that never notices outlasts
	},
	{
		name: "watchers are not told of logouts", cell: "script-flush/logout-races-touch/single/seen",
		caught: func(r *Result) int { return r.Unannounced },
		change: func(c *Cell) {
			c.wrap = func(*site) func(perdure.Backend) perdure.Backend {
				return func(front perdure.Backend) perdure.Backend { return discreet{incarnated(front)} }
			}
		},
	},
	{
		name: "a journal is lost between outages", cell: "killed-in-one-outage-started-in-the-next/logout-races-touch/single/default",
		caught: func(r *Result) int { return r.Lost + r.Resurrected }, change: losesJournal,
	},
	{
		name: "the journal of another service is lost", cell: "foreign-journal/login-storm/single/default",
		caught: func(r *Result) int { return r.Strayed }, change: losesJournal,
	},
	{
		name: "a migration overwrites what it meets", cell: "move-both-ways/logout-races-touch/pair/default",
		caught: func(r *Result) int { return r.Resurrected + r.Unverified }, change: migrates(overwriting),
	},
	{
		name: "a migration says that it is done", cell: "move-both-ways/logout-races-touch/pair/default",
		caught: func(r *Result) int { return r.Unverified }, change: migrates(saysSo),
	},
	{
		name: "a migration has no way back", cell: "move-both-ways/logout-races-touch/pair/default",
		caught: func(r *Result) int { return r.Unverified }, change: migrates(oneWay),
	},
	{
		name: "a migration remembers an address", cell: "target-loses-data-in-a-run/logout-races-touch/pair/default",
		caught: func(r *Result) int { return r.Unverified }, change: func(c *Cell) { c.migration = unaware },
	},
}

// migrates has a migration with a bug killed a few times, between stores that are well.
func migrates(bug string) func(c *Cell) {
	return func(c *Cell) {
		c.migration = bug
		c.Fault.run = func(ctx context.Context, s *stage) error {
			if err := s.holdDoing(ctx, 300*time.Millisecond, s.mover.again); err != nil {
				return err
			}
			return errors.Join(s.mover.again(), s.awaitMover(ctx))
		}
	}
}

func plants(make func() plant) func(c *Cell) { return func(c *Cell) { c.plant = make() } }

func losesJournal(c *Cell) {
	c.afterKill = func(m *member) error { return os.RemoveAll(m.settings.Dir) }
}

// staleCopies serves whatever was read once.
func staleCopies() plant {
	var copies sync.Map
	return func(q Request, do func(Request) Reply) Reply {
		p := do(q)
		if q.Kind != Read {
			return p
		}
		if p.Live {
			copies.Store(q.ID, p)
		} else if old, ok := copies.Load(q.ID); ok && p.Outcome == Acknowledged {
			return old.(Reply)
		}
		return p
	}
}

// servesAnyAge serves what was read once whenever the store has no answer.
func servesAnyAge() plant {
	var copies sync.Map
	return func(q Request, do func(Request) Reply) Reply {
		p := do(q)
		if q.Kind == Read && p.Live {
			copies.Store(q.ID, p)
		} else if old, ok := copies.Load(q.ID); ok && q.Kind == Read && p.Outcome == Unavailable {
			return old.(Reply)
		}
		return p
	}
}

// pretends to have done what it has not.
func pretends(kind Kind) plant {
	return func(q Request, do func(Request) Reply) Reply {
		if q.Kind != kind {
			return do(q)
		}
		return Reply{Number: q.Number, Kind: kind, Outcome: Acknowledged, Live: do(Request{Kind: Read, ID: q.ID}).Live}
	}
}

// knowsBetter takes what is unavailable for what is not there.
func knowsBetter(kind Kind) plant {
	return func(q Request, do func(Request) Reply) Reply {
		p := do(q)
		if q.Kind == kind && p.Outcome == Unavailable {
			p.Outcome = Acknowledged
		}
		return p
	}
}

func shortLists(q Request, do func(Request) Reply) Reply {
	p := do(q)
	if q.Kind == List && len(p.IDs) > 0 {
		p.IDs = slices.Delete(p.IDs, 0, 1)
	}
	return p
}

// sweepsLatest has a sweep take the latest session, too.
func sweepsLatest() plant {
	var latest atomic.Value
	return func(q Request, do func(Request) Reply) Reply {
		p := do(q)
		if q.Kind == Create && p.Live {
			latest.Store(p.ID)
		} else if id, ok := latest.Load().(string); ok && q.Kind == Sweep {
			do(Request{Kind: Delete, ID: id})
		}
		return p
	}
}

// refusesEnds takes every tenth logout for one too many.
func refusesEnds() plant {
	var asked atomic.Int64
	return func(q Request, do func(Request) Reply) Reply {
		if q.Kind == Delete && asked.Add(1)%10 == 0 {
			return Reply{Number: q.Number, Kind: q.Kind, Outcome: Unavailable, Why: JournalFull}
		}
		return do(q)
	}
}

// discreet tells nobody of ends.
type discreet struct{ front }

func (b discreet) Changes(ctx context.Context, after string, limit int, wait time.Duration) (perdure.ChangeBatch, error) {
	batch, err := b.front.Changes(ctx, after, limit, wait)
	batch.Changes = slices.DeleteFunc(batch.Changes, func(c perdure.Change) bool { return c.Kind == perdure.Deleted })
	return batch, err
}
