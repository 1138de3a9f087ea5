package chaos

import (
	"time"

	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/internal/faultproxy"
)

const (
	wrongAtTimes = "a clock was wrong in the outage: which came first, a login or a revocation of all, is open within that"
)

// pair is a cell of two processes with everything at its default.
func pair(f Fault, w string) Cell {
	return Cell{Fault: f, Workload: workload(w), Topology: Single, Members: 2}
}

// clockCells are those of wrong clocks.
func clockCells() []Cell {
	var cells []Cell
	for _, step := range []struct {
		name string
		by   time.Duration
	}{
		{"40s", 40 * time.Second}, {"90s", 90 * time.Second}, {"1h", time.Hour}, {"90s-behind", -90 * time.Second},
	} {
		for _, w := range []string{"logout-races-touch", "revoke-races-login"} {
			c := pair(Fault{Name: "clock-step-" + step.name, run: misstep(step.by), first: true}, w)
			c.Bound = Bound{Why: wrongAtTimes, Skew: step.by.Abs() + time.Second}
			cells = append(cells, c)
		}
	}
	for _, sweeper := range []struct {
		name string
		by   time.Duration
	}{
		{"40s", 40 * time.Second}, {"2h", 2 * time.Hour}, {"90s-behind", -90 * time.Second},
	} {
		c := pair(Fault{Name: "sweeper-" + sweeper.name, run: wrongClock(sweeper.by), connected: true}, "idle")
		c.Tuning.IdleTimeout = 30 * time.Second
		if sweeper.by < 0 {
			c.Workload, c.Tuning.IdleTimeout = workload("expiry"), 0
		}
		cells = append(cells, c)
	}
	return cells
}

// endCells are those of ends that change, and of sessions that end when idle.
func endCells() []Cell {
	var cells []Cell
	for _, f := range []Fault{
		{Name: "partition", run: cutOff(faultproxy.Both), first: true},
		{Name: "kill-restart", run: crash, everyone: true},
		{Name: "feed-gap", run: trimFeeds, connected: true},
	} {
		ends, idle := pair(f, "changing-ends"), pair(f, "idle")
		idle.Tuning.IdleTimeout = 2 * time.Second
		if f.Name == "feed-gap" { // it matters to who follows the feed
			ends.Mirror, idle.Mirror = failover.MirrorFull, failover.MirrorFull
			ends.Children, idle.Children = true, true
		}
		cells = append(cells, ends, idle)
	}
	stopped := pair(Fault{Name: "perdure-stopped", run: halt, connected: true}, "changing-ends")
	stopped.Children = true
	gap := pair(Fault{Name: "feed-gap", run: trimFeeds, connected: true}, "logout-races-touch")
	gap.Mirror, gap.Children = failover.MirrorFull, true
	return append(cells, stopped, gap)
}

// storeCells are those of what Redis does, and of how much is kept.
func storeCells() []Cell {
	old := pair(Fault{Name: "max-age-2s", run: crash, everyone: true}, "touch-heavy")
	old.Tuning.MaxAge = 2 * time.Second
	var cells []Cell
	for _, w := range []string{"logout-races-touch", "revoke-races-login"} {
		full := pair(Fault{Name: "journal-full", run: crash, everyone: true}, w)
		full.Tuning.MaxJournalBytes = 64 << 10
		cells = append(cells, full, pair(Fault{Name: "maxclients", run: maxClients, everyone: true}, w))
	}
	slow := pair(Fault{Name: "empty-and-slow-to-fill", run: fillSlowly(16_000), everyone: true}, "login-storm")
	slow.Tuning.RecoveryRate = 400 // so that filling takes the better part of a minute
	return append(cells, old, slow)
}

// processCells are those of processes that die at a bad time.
func processCells() []Cell {
	var cells []Cell
	for _, w := range []string{"logout-races-touch", "revoke-races-login"} {
		next := pair(Fault{Name: "killed-in-one-outage-started-in-the-next", run: killThenNext, everyone: true}, w)
		next.Children = true
		cells = append(cells, next)
	}
	foreign := pair(Fault{Name: "foreign-journal", run: foreignJournal, everyone: true}, "login-storm")
	foreign.Children = true
	return append(cells, foreign)
}
