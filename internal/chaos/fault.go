package chaos

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/perdure/perdure/internal/faultproxy"
)

// Fault is a way to break things and to mend them again.
type Fault struct {
	Name string
	// run brings the fault about, calls stage.hold, and mends it.
	run func(ctx context.Context, s *stage) error
	// everyone is set where every process must notice an outage, and first
	// where the first one must.
	everyone, first bool
	// connected is set where the others reach Redis all the time; they do where the
	// first process must notice an outage.
	connected bool
	// reachable, where set, is what all processes reach all the time: sessions by id.
	reachable func(id string) bool
}

// apart reports whether a process may be on its own while the fault lasts.
func (f *Fault) apart(node int) bool { return node == 0 || !f.first && !f.connected }

func hang(ctx context.Context, s *stage) error {
	server := s.site.master()
	if err := s.strike(server.Stop); err != nil {
		return err
	}
	s.hold(ctx)
	return errors.Join(server.Continue(), s.site.settle(ctx))
}

func crash(ctx context.Context, s *stage) error {
	server := s.site.master()
	if err := s.strike(server.Kill); err != nil {
		return err
	}
	s.hold(ctx)
	return errors.Join(server.Restart(ctx), s.site.settle(ctx))
}

func crashEmpty(ctx context.Context, s *stage) error {
	if err := s.strike(s.site.single.Kill); err != nil {
		return err
	}
	s.hold(ctx)
	return s.site.single.RestartEmpty(ctx)
}

// blink is a crash so short that hardly anybody notices: the server is back at
// once, and empty.
func blink(ctx context.Context, s *stage) error {
	if err := s.strike(func() error { return s.site.single.RestartEmpty(ctx) }); err != nil {
		return err
	}
	s.hold(ctx)
	return nil
}

func crashOld(ctx context.Context, s *stage) error {
	restore, err := s.site.snapshot()
	if err != nil {
		return err
	}
	s.pass(ctx, time.Second) // of writes that the snapshot lacks
	if err := s.strike(s.site.single.Kill); err != nil {
		return err
	}
	s.hold(ctx)
	return errors.Join(restore(), s.site.single.Restart(ctx))
}

func flushAll(ctx context.Context, s *stage) error {
	if err := s.site.do([]string{"FLUSHALL"}); err != nil {
		return err
	}
	s.hold(ctx)
	return nil
}

// promote has a replica take over that has not heard of the last writes.
func promote(ctx context.Context, s *stage) error {
	old := s.site.master()
	if err := s.site.deafen(); err != nil {
		return err
	}
	s.pass(ctx, 500*time.Millisecond) // of writes that no replica has
	if err := s.strike(old.Kill); err != nil {
		return err
	}
	s.hold(ctx)
	if err := s.site.settle(ctx); err != nil {
		return err
	}
	return errors.Join(old.Restart(ctx), s.site.settle(ctx))
}

// handOver has the Sentinels promote a replica while the master is up.
func handOver(ctx context.Context, s *stage) error {
	if err := s.strike(func() error { return s.site.sentinel.Failover(ctx) }); err != nil {
		return err
	}
	s.hold(ctx)
	return s.site.settle(ctx)
}

// cutOff takes the network from the first process.
func cutOff(d faultproxy.Direction) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		s.struck = time.Now()
		s.members[0].proxy.Blackhole(d)
		s.hold(ctx)
		return s.members[0].proxy.Heal()
	}
}

// refuse has the first process find no server where Redis was.
func refuse(ctx context.Context, s *stage) error {
	s.struck = time.Now()
	s.members[0].proxy.Refuse()
	s.hold(ctx)
	return s.members[0].proxy.Heal()
}

// degradeAll makes the network of all processes worse.
func degradeAll(worsen func(p *faultproxy.Proxy)) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		for _, m := range s.members {
			worsen(m.proxy)
		}
		s.hold(ctx)
		var errs []error
		for _, m := range s.members {
			errs = append(errs, m.proxy.Heal())
		}
		return errors.Join(errs...)
	}
}

// pester does something to a random process's connections, again and again.
func pester(every time.Duration, do func(p *faultproxy.Proxy, rng *rand.Rand)) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		rng := s.random("pester")
		s.holdDoing(ctx, every, func() error {
			do(s.members[rng.IntN(len(s.members))].proxy, rng)
			return nil
		})
		var errs []error
		for _, m := range s.members {
			errs = append(errs, m.proxy.Heal())
		}
		return errors.Join(errs...)
	}
}

// configure changes the server by a command, and back by another.
func configure(strike, mend []string) func(context.Context, *stage) error {
	return func(ctx context.Context, s *stage) error {
		if err := s.site.do(strike); err != nil {
			return err
		}
		s.hold(ctx)
		return s.site.do(mend)
	}
}

func scriptFlush(ctx context.Context, s *stage) error {
	return s.holdDoing(ctx, 50*time.Millisecond, func() error { return s.site.do([]string{"SCRIPT", "FLUSH"}) })
}

func changePassword(ctx context.Context, s *stage) error {
	admin, closeAdmin, err := s.site.admin(ctx)
	if err != nil {
		return err
	}
	defer closeAdmin()
	for _, command := range [][]string{{"CONFIG", "SET", "requirepass", "another"}, {"CLIENT", "KILL", "TYPE", "normal"}} {
		if _, err := admin.Do(command...); err != nil {
			return err
		}
	}
	s.hold(ctx)
	_, err = admin.Do("CONFIG", "SET", "requirepass", "")
	return err
}

// again takes Redis away in the middle of the recovery, three times.
func again(ctx context.Context, s *stage) error {
	rng := s.random("again")
	if err := s.strike(s.site.single.Kill); err != nil {
		return err
	}
	s.hold(ctx)
	for range 3 {
		if err := s.site.single.Restart(ctx); err != nil {
			return err
		}
		s.pass(ctx, time.Duration(300+rng.IntN(700))*time.Millisecond)
		if err := s.site.single.Kill(); err != nil {
			return err
		}
		s.pass(ctx, 300*time.Millisecond)
	}
	s.mended = time.Now()
	return s.site.single.Restart(ctx)
}

// outOfMemory has the server refuse whatever takes memory.
func outOfMemory(ctx context.Context, s *stage) error {
	return configure([]string{"CONFIG", "SET", "maxmemory", strconv.Itoa(1 << 20)}, []string{"CONFIG", "SET", "maxmemory", "0"})(ctx, s)
}
