package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure/internal/redistest"
)

// moveBothWays keeps two stores in step, to which services write on both sides, while
// either restarts empty, comes back older, is flushed, dies and hangs, and the tool is
// killed, in an order that the seed decides.
func moveBothWays(ctx context.Context, s *stage) error {
	rng := s.random("moving")
	ends := []*redistest.Server{s.site.single, s.site.other}
	acts := []func(end *redistest.Server) error{
		func(*redistest.Server) error { return s.mover.again() },
		func(end *redistest.Server) error { return end.RestartEmpty(ctx) },
		func(end *redistest.Server) error { return s.comeBackOlder(ctx, end) },
		func(end *redistest.Server) error { _, err := end.Do("FLUSHALL"); return err },
		func(end *redistest.Server) error {
			err := end.Kill()
			s.pass(ctx, time.Duration(rng.IntN(300))*time.Millisecond)
			return errors.Join(err, end.Restart(ctx))
		},
		func(end *redistest.Server) error {
			err := end.Stop()
			s.pass(ctx, time.Duration(200+rng.IntN(500))*time.Millisecond)
			return errors.Join(err, end.Continue())
		},
	}
	turn := rng.Perm(len(acts))
	err := s.holdDoing(ctx, 20*time.Millisecond, func() error {
		if len(turn) == 0 {
			turn = rng.Perm(len(acts))
		}
		act := acts[turn[0]]
		turn = turn[1:]
		if err := act(ends[rng.IntN(len(ends))]); err != nil {
			return err
		}
		if rng.IntN(2) == 0 { // also in the middle of what it does about that
			s.pass(ctx, time.Duration(rng.IntN(100))*time.Millisecond)
			if err := s.mover.again(); err != nil {
				return err
			}
		}
		return s.awaitRunning(ctx, s.patience)
	})
	if err != nil {
		return err
	}
	if err := s.mover.again(); err != nil { // what it said before is not about now
		return err
	}
	return s.awaitMover(ctx)
}

// comeBackOlder has a server lose what it has acknowledged since a moment ago.
func (s *stage) comeBackOlder(ctx context.Context, end *redistest.Server) error {
	restore, err := snapshotOf(end)
	if err != nil {
		return err
	}
	s.pass(ctx, 200*time.Millisecond)
	return errors.Join(end.Kill(), restore(), end.Restart(ctx))
}

func (s *stage) awaitMover(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	return s.mover.await(ctx)
}

// maxCutOvers is how often a migration may refuse to cut over, of stores that are well
// and that nobody writes to.
const maxCutOvers = 5

// finishMigration cuts over, when all is well and nobody writes, and holds the migration
// to what it said.
func (s *stage) finishMigration(ctx context.Context, c *checker) error {
	switch {
	case s.mover == nil:
		return nil
	case s.cell.plain:
		return s.finishPlain(ctx, c)
	}
	for range maxCutOvers {
		cutting, cancel := context.WithTimeout(ctx, s.patience)
		done, why, err := s.mover.cutOver(cutting)
		cancel()
		if err != nil {
			return err
		}
		if !done {
			c.refusals = append(c.refusals, why)
			if err := errors.Join(s.mover.again(), s.awaitMover(ctx)); err != nil {
				return err
			}
			continue
		}
		return s.holdToIt(ctx, c)
	}
	return fmt.Errorf("chaos: the migration would not cut over: %v", c.refusals)
}

// holdToIt compares the stores after a migration that said it was done.
func (s *stage) holdToIt(ctx context.Context, c *checker) error {
	report, err := s.mover.verify(ctx)
	if err != nil {
		return err
	}
	for kind, n := range report.Found {
		c.verdict.Unverified += int(n)
		c.example("unverified: %d %s: %v", n, kind, report.Differences)
	}
	return nil
}

// plainRounds is how often finishPlain moves all.
const plainRounds = 6

// finishPlain moves all that there is when nobody writes any more, again and again, into a
// target that loses data meanwhile, while the tool is killed. Each time that it says it is
// done it is held to that.
func (s *stage) finishPlain(ctx context.Context, c *checker) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	rng := s.random("plain")
	losses := []func() error{
		func() error { return s.site.other.RestartEmpty(ctx) },
		func() error { _, err := s.site.other.Do("FLUSHALL"); return err },
		func() error { return s.comeBackOlder(ctx, s.site.other) },
		s.mover.again,
	}
	for range plainRounds {
		if err := errors.Join(s.site.other.RestartEmpty(ctx), s.mover.again()); err != nil {
			return err
		}
		for range 2 {
			s.pass(ctx, time.Duration(rng.IntN(700))*time.Millisecond)
			ended, err := s.mover.pause(ctx, s)
			if !ended && err == nil {
				err = losses[rng.IntN(len(losses))]()
			}
			if err := errors.Join(err, s.mover.resume()); err != nil {
				return err
			}
			if rng.IntN(2) == 0 && !ended {
				if err := s.mover.again(); err != nil {
					return err
				}
			}
		}
		for done := false; !done; {
			var why string
			var err error
			if done, why, err = s.mover.end(ctx); err == nil && !done {
				c.refusals = append(c.refusals, why)
				err = s.mover.again()
			}
			if err != nil {
				return fmt.Errorf("chaos: a plain migration did not end well, %v: %w", c.refusals, err)
			}
		}
		if err := s.holdToIt(ctx, c); err != nil {
			return err
		}
	}
	return nil
}

// calm is no fault: what there is to move is made in it.
func calm(ctx context.Context, s *stage) error {
	s.hold(ctx)
	return nil
}

// migrationCells are those of a migration in both directions.
func migrationCells() []Cell {
	var cells []Cell
	for _, w := range []string{"logout-races-touch", "revoke-races-login", "two-sided-update", "rotate-against-update"} {
		cells = append(cells, Cell{
			Fault: Fault{Name: "move-both-ways", run: moveBothWays}, Workload: workload(w), Topology: Pair, Members: 2,
			Bound: Bound{Why: notThere, NotFound: true},
		})
	}
	return append(cells, Cell{
		Fault: Fault{Name: "target-loses-data-in-a-run", run: calm}, Workload: workload("logout-races-touch"), Topology: Pair, Members: 1, plain: true,
	})
}

const notThere = "of two stores that a migration keeps in step one hears of what was done at the other a moment later, and later where the tool is dead: until then that is not found"
