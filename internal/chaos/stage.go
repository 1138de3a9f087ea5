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
	duration time.Duration // of the fault, at the least
	work     int64         // and what each process has to answer well meanwhile
	patience time.Duration // for that
	site     *site
	members  []*member
	mover    *mover // that keeps a Pair in step
	pool     pool
	clients  []*client
	probes   []Op     // requests that a fault made
	strayed  []string // what a fault found of another service's sessions

	struck, mended time.Time // the fault
	settled        time.Time // all is well again
}

func openStage(ctx context.Context, cell *Cell, o *Options, dir string) (*stage, error) {
	s := &stage{cell: cell, seed: o.Seed, duration: o.Fault, work: int64(o.Work), patience: o.Patience}
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
	if cell.Topology == Pair {
		s.mover = newMover(cell, s.site, dir)
	}
	if s.mover != nil && !cell.plain {
		if err := errors.Join(s.mover.start(), s.awaitMover(ctx)); err != nil {
			return nil, errors.Join(err, s.close())
		}
	}
	for i := range o.Clients {
		c := &client{stage: s, number: i, member: s.members[i%len(s.members)], rng: s.random(fmt.Sprint("client", i))}
		s.clients = append(s.clients, c)
	}
	return s, nil
}

func (s *stage) close() error {
	var errs []error
	if s.mover != nil {
		errs = append(errs, s.mover.kill())
	}
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

// hold is called when the fault is there, and returns when it is time to mend it: so
// long after everybody who has to has noticed it, and has answered enough since.
func (s *stage) hold(ctx context.Context) {
	s.holdDoing(ctx, 20*time.Millisecond, func() error { return nil })
}

// holdDoing is hold, and does something again and again meanwhile.
func (s *stage) holdDoing(ctx context.Context, every time.Duration, do func() error) error {
	if s.struck.IsZero() {
		s.struck = time.Now()
	}
	answered := map[*member]int64{}
	end, late := time.Time{}, time.Now().Add(s.duration+s.patience)
	for ctx.Err() == nil {
		if err := do(); err != nil {
			return err
		}
		now := time.Now()
		noticed, worked := s.worked(answered)
		if noticed && end.IsZero() {
			end = now.Add(s.duration)
		}
		if worked && now.After(end) || now.After(late) {
			break
		}
		s.pass(ctx, every)
	}
	s.mended = time.Now()
	return ctx.Err()
}

// worked reports whether everybody who has to has noticed the fault, and answered
// enough since: how long that takes depends on the machine. It notes in answered what
// each had answered when it noticed.
func (s *stage) worked(answered map[*member]int64) (noticed, worked bool) {
	noticed, worked = true, true
	for i, m := range s.members {
		if _, ok := m.degradedAfter(s.struck, time.Now()); !ok && s.must(i) {
			noticed, worked = false, false
			continue
		}
		n := m.answered.Load()
		if _, ok := answered[m]; !ok {
			answered[m] = n
		}
		if !m.stopped.Load() && m.running() && n-answered[m] < s.work {
			worked = false
		}
	}
	return noticed, worked
}

// must reports whether a process has to notice an outage.
func (s *stage) must(i int) bool { return s.cell.Fault.everyone || s.cell.Fault.first && i == 0 }

// crashFirst kills the first process and starts it again.
func (s *stage) crashFirst(ctx context.Context) error {
	if err := s.killFirst(); err != nil {
		return err
	}
	return s.members[0].open(ctx)
}

func (s *stage) killFirst() error {
	if err := s.members[0].kill(); err != nil {
		return err
	}
	if damage := s.cell.afterKill; damage != nil {
		return damage(s.members[0])
	}
	return nil
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
	return s.awaitAll(ctx, s.members, patience)
}

// awaitRunning is await for those that run.
func (s *stage) awaitRunning(ctx context.Context, patience time.Duration) error {
	var up []*member
	for _, m := range s.members {
		if m.running() {
			up = append(up, m)
		}
	}
	return s.awaitAll(ctx, up, patience)
}

func (s *stage) awaitAll(ctx context.Context, members []*member, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		ill := 0
		var last Reply
		for _, m := range members {
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
			return fmt.Errorf("%d of %d processes were not well after %v: %s, %d to merge", ill, len(members), patience, last.State, last.Pending)
		case <-ticker.C:
		}
	}
}

// awaitWatchers returns when all members watch.
func (s *stage) awaitWatchers(ctx context.Context) error {
	for _, m := range s.members {
		for !m.watches() && ctx.Err() == nil {
			s.pass(ctx, time.Millisecond)
		}
	}
	return ctx.Err()
}

// history is all that was asked while the fault came and went.
func (s *stage) history() []Op {
	all := s.probes
	for _, c := range s.clients {
		all = append(all, c.history...)
	}
	return all
}
