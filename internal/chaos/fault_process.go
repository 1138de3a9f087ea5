package chaos

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"
)

// killInOutage kills the first process while Redis is down, twice, and has it
// read what it had acknowledged before Redis is back.
func killInOutage(ctx context.Context, s *stage) error {
	if err := s.strike(s.site.single.Kill); err != nil {
		return err
	}
	s.hold(ctx)
	for range 2 {
		if err := s.crashFirst(ctx); err != nil {
			return err
		}
		s.readJournalled(ctx)
		s.pass(ctx, s.duration/4)
	}
	s.mended = time.Now()
	return s.site.single.Restart(ctx)
}

// killInRecovery kills the first process some times while it merges its journal.
func killInRecovery(ctx context.Context, s *stage) error {
	if err := s.strike(s.site.single.Kill); err != nil {
		return err
	}
	s.hold(ctx)
	if err := s.site.single.Restart(ctx); err != nil {
		return err
	}
	rng := s.random("kill")
	for range 4 {
		s.pass(ctx, time.Duration(200+rng.IntN(700))*time.Millisecond)
		if err := s.crashFirst(ctx); err != nil {
			return err
		}
	}
	return nil
}

// diskFull leaves the journal of the first process no room in an outage.
func diskFull(ctx context.Context, s *stage) error {
	const room = 1 << 20
	if err := s.strike(s.site.single.Kill); err != nil {
		return err
	}
	if p := s.members[0].do(ctx, Request{Kind: Limit, Value: room}).Reply; p.Error != "" {
		return errors.New(p.Error)
	}
	s.hold(ctx)
	s.members[0].do(ctx, Request{Kind: Limit})
	return s.site.single.Restart(ctx)
}

// halt stops the first process, as SIGSTOP does, and lets it go on.
func halt(ctx context.Context, s *stage) error {
	if err := s.strike(func() error { return s.members[0].pause(true) }); err != nil {
		return err
	}
	s.hold(ctx)
	return s.members[0].pause(false)
}

// killThenNext kills the first process in an outage, and starts it in the next: in
// between Redis is well, and the other ends sessions that the first one still has.
func killThenNext(ctx context.Context, s *stage) error {
	if err := s.strike(s.site.single.Kill); err != nil {
		return err
	}
	s.hold(ctx)
	if err := s.killFirst(); err != nil {
		return err
	}
	if err := s.site.single.Restart(ctx); err != nil {
		return err
	}
	if err := s.awaitRunning(ctx, s.patience); err != nil {
		return err
	}
	s.pass(ctx, s.duration/2)
	if err := s.site.single.Kill(); err != nil {
		return err
	}
	if err := s.members[0].open(ctx); err != nil {
		return err
	}
	s.readJournalled(ctx)
	s.hold(ctx)
	return s.site.single.Restart(ctx)
}

// foreignJournal has a process of another service leave a journal in the directory of
// the first, which takes over what it finds there. Both services' sessions must end up
// where they belong.
func foreignJournal(ctx context.Context, s *stage) error {
	if err := s.strike(s.site.single.Kill); err != nil {
		return err
	}
	ids, err := s.strangers(ctx)
	if err != nil {
		return err
	}
	if err := s.crashFirst(ctx); err != nil {
		return err
	}
	s.hold(ctx)
	if err := s.site.single.Restart(ctx); err != nil {
		return err
	}
	if err := s.recover(ctx, s.patience); err != nil {
		return err
	}
	for _, m := range s.members {
		for _, id := range ids {
			if op := m.do(ctx, Request{Kind: Read, ID: id}); op.Reply.Live {
				s.strayed = append(s.strayed, fmt.Sprintf("%s is served by process %d", id, m.index))
			}
		}
	}
	return s.comeBack(ctx, ids)
}

// stranger is a process of another service, on the same Redis and with the directory
// of the first process.
func (s *stage) stranger() (*member, error) {
	m := &member{index: len(s.members), separate: true, settings: s.members[0].settings}
	m.settings.Prefix, m.settings.Log = "another:", filepath.Join(s.members[0].dir, "another.log")
	m.settings.notify, m.settings.follow = m.shifted, m.followed
	return m, m.open(context.Background())
}

// strangers has another service take sessions in the outage, and die.
func (s *stage) strangers(ctx context.Context) (ids []string, err error) {
	m, err := s.stranger()
	if err != nil {
		return nil, err
	}
	const count = 20
	for i := range count {
		op := m.do(ctx, Request{Kind: Create, User: fmt.Sprint("stranger", i)})
		if !op.begins() {
			return nil, errors.Join(fmt.Errorf("chaos: the other service takes no session: %s", op.Reply.Error), m.kill())
		}
		ids = append(ids, op.Reply.ID)
	}
	return ids, m.kill()
}

// comeBack starts the other service again, and notes which of its sessions it lacks.
func (s *stage) comeBack(ctx context.Context, ids []string) error {
	m, err := s.stranger()
	if err != nil {
		return err
	}
	if err := s.awaitAll(ctx, []*member{m}, s.patience); err != nil {
		return errors.Join(err, m.close())
	}
	for _, id := range ids {
		if op := m.do(ctx, Request{Kind: Read, ID: id}); !op.Reply.Live {
			s.strayed = append(s.strayed, fmt.Sprintf("%s is not where it was made: %s", id, op.Reply.Error))
		}
	}
	return m.close()
}
