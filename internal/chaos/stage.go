package chaos

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"
)

// stage is a cell being played.
type stage struct {
	cell     *Cell
	seed     uint64
	duration time.Duration // of the fault
	site     *site
	members  []*member
	pool     pool
	clients  []*client
	probes   []Op // requests that a fault made

	struck, mended time.Time // the fault
	settled        time.Time // all is well again
}

func openStage(ctx context.Context, cell *Cell, o *Options, dir string) (*stage, error) {
	s := &stage{cell: cell, seed: o.Seed, duration: o.Fault}
	var err error
	if s.site, err = openSite(ctx, cell.Topology); err != nil {
		return nil, err
	}
	for i := range cell.Members {
		m, err := openMember(ctx, i, cell, s.site, filepath.Join(dir, fmt.Sprint("process", i)))
		if err != nil {
			return nil, errors.Join(err, s.close())
		}
		s.members = append(s.members, m)
	}
	for i := range o.Clients {
		c := &client{stage: s, number: i, member: s.members[i%len(s.members)], rng: s.random(fmt.Sprint("client", i))}
		s.clients = append(s.clients, c)
	}
	return s, nil
}

func (s *stage) close() error {
	var errs []error
	for _, m := range s.members {
		errs = append(errs, m.close())
	}
	return errors.Join(append(errs, s.site.close())...)
}

// random is a source of its own for each name, that the seed replays.
func (s *stage) random(name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(s.cell.Name() + "/" + name))
	return rand.New(rand.NewPCG(s.seed, h.Sum64()))
}

// pass lets time pass: the clients go on.
func (s *stage) pass(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// strike brings the fault about, and notes when.
func (s *stage) strike(do func() error) error {
	s.struck = time.Now()
	return do()
}

// hold is called when the fault is there, and returns when it is time to mend it.
func (s *stage) hold(ctx context.Context) {
	s.holdDoing(ctx, s.duration, func() error { return nil })
}

// holdDoing is hold, and does something again and again meanwhile.
func (s *stage) holdDoing(ctx context.Context, every time.Duration, do func() error) error {
	if s.struck.IsZero() {
		s.struck = time.Now()
	}
	for end := time.Now().Add(s.duration); time.Now().Before(end) && ctx.Err() == nil; {
		if err := do(); err != nil {
			return err
		}
		s.pass(ctx, min(every, time.Until(end)))
	}
	s.mended = time.Now()
	return ctx.Err()
}

// crashFirst kills the first process and starts it again.
func (s *stage) crashFirst(ctx context.Context) error {
	if err := s.members[0].kill(); err != nil {
		return err
	}
	if damage := s.cell.afterKill; damage != nil {
		if err := damage(s.members[0]); err != nil {
			return err
		}
	}
	return s.members[0].open(ctx)
}

// readJournalled reads, through the first process, the latest of the sessions.
func (s *stage) readJournalled(ctx context.Context) {
	const latest = 300
	ids := s.pool.all()
	for _, id := range ids[max(0, len(ids)-latest):] {
		s.probes = append(s.probes, s.members[0].do(ctx, Request{Kind: Read, ID: id}))
	}
}

// play lets clients work while the fault comes and goes, until all is well.
func (s *stage) play(ctx context.Context, o *Options) error {
	working, stop := context.WithCancel(ctx)
	defer stop()
	var clients sync.WaitGroup
	for _, c := range s.clients {
		clients.Go(func() { c.work(working, o.Pace) })
	}
	s.pass(ctx, o.Before)
	err := s.cell.Fault.run(ctx, s)
	if err == nil {
		err = s.recover(ctx, o.Patience)
	}
	s.pass(ctx, o.After)
	stop()
	clients.Wait()
	if err != nil {
		s.settled = time.Now() // it never was: nothing is judged as if it were
		return err
	}
	return s.await(ctx, o.Patience)
}

// recover waits until all is well, and notes when.
func (s *stage) recover(ctx context.Context, patience time.Duration) error {
	err := s.await(ctx, patience)
	s.settled = time.Now()
	return err
}

// await returns when all members are well: that is asked until it is so.
func (s *stage) await(ctx context.Context, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		ill := 0
		var last Reply
		for _, m := range s.members {
			if !m.well(ctx) {
				ill++
				last = m.do(ctx, Request{Kind: Health}).Reply
			}
		}
		if ill == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d processes were not well after %v: %s, %d to merge", ill, len(s.members), patience, last.State, last.Pending)
		case <-ticker.C:
		}
	}
}

// history is all that was asked while the fault came and went.
func (s *stage) history() []Op {
	all := s.probes
	for _, c := range s.clients {
		all = append(all, c.history...)
	}
	return all
}
