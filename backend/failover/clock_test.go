package failover_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/backend/redis"
	"github.com/perdure/perdure/internal/redistest"
)

// timed is a front store with a clock that all share.
type timed struct{ cable }

func (t timed) Now() time.Time { return perdure.TimeOf(t.Backend, nil)() }

// machine has a clock that may be wrong.
type machine struct{ wrong atomic.Int64 }

func (m *machine) now() time.Time        { return time.Now().Add(time.Duration(m.wrong.Load())) }
func (m *machine) setBy(d time.Duration) { m.wrong.Store(int64(d)) }

// boot starts a process on the machine, at default settings.
func (m *machine) boot(t *testing.T, shared perdure.Backend, options failover.Options, store perdure.Options, cut bool) *node {
	t.Helper()
	n := &node{cut: &atomic.Bool{}}
	n.cut.Store(cut)
	options.Open = func(context.Context) (perdure.Backend, error) {
		c := timed{cable{shared, n.cut}}
		return c, c.err()
	}
	options.Now, options.Uptime, store.Now = m.now, uptime, m.now
	var err error
	if n.failover, err = failover.Open(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	if n.Store, err = perdure.New(n.failover, store); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Store.Close() })
	if !cut {
		n.await(t, failover.Healthy)
	}
	return n
}

// deeds are what is done in an outage.
type deeds struct{ out, revoked, updated, born, kept []string }

const each = 10

// before makes the sessions that an outage meets.
func before(t *testing.T, n *node) (d deeds) {
	for i := range each {
		d.out = append(d.out, n.create(t, "out"))
		d.revoked = append(d.revoked, n.create(t, fmt.Sprint("revoked", i)))
		d.updated = append(d.updated, n.create(t, "updated"))
		d.kept = append(d.kept, n.create(t, "kept"))
	}
	return d
}

// does logs out, revokes, updates and logs in. All is acknowledged.
func (d *deeds) does(t *testing.T, n *node) {
	t.Helper()
	for i := range each {
		if ok, err := n.Delete(t.Context(), d.out[i]); !ok || err != nil {
			t.Fatal("logout", ok, err)
		}
		if _, err := n.RevokeUser(t.Context(), fmt.Sprint("revoked", i)); err != nil {
			t.Fatal("revocation", err)
		}
		if _, err := n.Update(t.Context(), d.updated[i], perdure.Patch{Metadata: map[string]any{"a": 1}}); err != nil {
			t.Fatal("update", err)
		}
		d.born = append(d.born, n.create(t, fmt.Sprint("revoked", i))) // after the revocation
		d.born = append(d.born, n.create(t, "born"))
	}
}

// hold checks that all of it is so, for every process.
func (d *deeds) hold(t *testing.T, nodes ...*node) {
	t.Helper()
	for _, n := range nodes {
		n.want(t, false, d.out...)
		n.want(t, false, d.revoked...)
		n.want(t, true, d.born...)
		n.want(t, true, d.kept...)
		for _, id := range d.updated {
			s, err := n.Get(t.Context(), id)
			if m, _ := s.Metadata.MarshalJSON(); err != nil || string(m) != `{"a":1,"b":0}` {
				t.Errorf("an update: %s, %v", m, err)
			}
		}
		if h := n.failover.Health(t.Context()); h.State != failover.Healthy || h.JournalDepth != 0 || h.Refused != 0 {
			t.Errorf("health: %+v", h)
		}
	}
	for _, id := range d.born {
		s, err := nodes[0].Get(t.Context(), id)
		if age := time.Since(s.CreatedAt); err != nil || age < -2*time.Second || age > time.Hour {
			t.Errorf("created %v ago, %v", age, err)
		}
		if life := s.ExpiresAt.Sub(s.CreatedAt); (life - 24*time.Hour).Abs() > time.Second {
			t.Errorf("a life of %v", life)
		}
	}
}

// recovers returns when the outage is over.
func (n *node) recovers(t *testing.T) {
	t.Helper()
	for range 2400 {
		if n.failover.Health(t.Context()).State == failover.Healthy {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatalf("health stays %+v", n.failover.Health(t.Context()))
}

func wrongs() []time.Duration {
	return []time.Duration{40 * time.Second, 90 * time.Second, time.Hour, 24 * time.Hour, -40 * time.Second, -90 * time.Second, -time.Hour, -24 * time.Hour}
}

// TestAClockThatJumpsInAnOutage and is right again before its end: what was
// acknowledged meanwhile holds, here and elsewhere.
func TestAClockThatJumpsInAnOutage(t *testing.T) {
	for _, wrong := range wrongs() {
		t.Run(wrong.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shared := newShared(t)
				var right, m machine
				other := right.boot(t, shared, failover.Options{}, perdure.Options{}, false)
				n := m.boot(t, shared, failover.Options{}, perdure.Options{}, false)
				d := before(t, n)
				n.cut.Store(true)
				_, _ = n.Get(t.Context(), perdure.NewID(0)) // notices
				m.setBy(wrong)
				time.Sleep(2 * time.Second)
				d.does(t, n)
				time.Sleep(2 * time.Second)
				m.setBy(0)
				n.cut.Store(false)
				n.recovers(t)
				d.hold(t, n, other)
			})
		})
	}
}

// TestAClockThatJumpsBesideRedis is the same with a server that tells the time.
func TestAClockThatJumpsBesideRedis(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	front, err := redis.Open(t.Context(), redis.Options{URL: server.URL()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { front.Close() })
	var right, m machine
	other := right.boot(t, front, failover.Options{}, perdure.Options{}, false)
	n := m.boot(t, front, failover.Options{}, perdure.Options{}, false)
	d := before(t, n)
	n.cut.Store(true)
	_, _ = n.Get(t.Context(), perdure.NewID(0)) // notices
	m.setBy(time.Hour)
	d.does(t, n)
	m.setBy(0)
	n.cut.Store(false)
	n.recovers(t)
	d.hold(t, n, other)
}

// TestAStartInAnOutageByAWrongClock that is put right before the end, or never: how
// far it was off is known when the front store answers.
func TestAStartInAnOutageByAWrongClock(t *testing.T) {
	for _, wrong := range wrongs() {
		for _, mended := range []bool{true, false} {
			t.Run(fmt.Sprint(wrong, " mended ", mended), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					shared := newShared(t)
					var right, m machine
					other := right.boot(t, shared, failover.Options{}, perdure.Options{}, false)
					m.setBy(wrong)
					n := m.boot(t, shared, failover.Options{}, perdure.Options{IdleTimeout: 30 * time.Minute}, true)
					d := deeds{}
					for i := range each { // nobody here knows them
						d.out = append(d.out, other.create(t, "out"))
						d.revoked = append(d.revoked, other.create(t, fmt.Sprint("revoked", i)))
						if ok, err := n.Delete(t.Context(), d.out[i]); !ok || err != nil {
							t.Fatal(ok, err)
						}
						if _, err := n.RevokeUser(t.Context(), fmt.Sprint("revoked", i)); err != nil {
							t.Fatal(err)
						}
						id := n.create(t, fmt.Sprint("revoked", i))
						if _, err := n.Update(t.Context(), id, perdure.Patch{Metadata: map[string]any{"a": 1}}); err != nil {
							t.Fatal(err)
						}
						d.updated = append(d.updated, id)
						if i%2 == 0 {
							s, err := n.Rotate(t.Context(), n.create(t, "born"), 24*time.Hour)
							if err != nil {
								t.Fatal(err)
							}
							id = s.ID
						} else {
							id = n.create(t, "born")
						}
						if touched, err := n.Touch(t.Context(), id); !touched || err != nil {
							t.Fatal(touched, err)
						}
						d.born = append(d.born, id)
					}
					time.Sleep(10 * time.Second)
					if mended {
						m.setBy(0)
					}
					time.Sleep(10 * time.Second)
					d.kept = append(d.kept, n.create(t, "kept"))
					n.cut.Store(false)
					n.recovers(t)
					d.hold(t, n, other)
				})
			})
		}
	}
}

// days is a life longer than a clock is off.
var days = perdure.Options{TTL: 72 * time.Hour}

// TestAKillInAnOutageByAWrongClock: the journal is read again by a process of another
// clock, and what the first had stamped by a wrong one still holds.
func TestAKillInAnOutageByAWrongClock(t *testing.T) {
	for _, wrong := range wrongs() {
		t.Run(wrong.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shared, dir := newShared(t), t.TempDir()
				var right, m machine
				other := right.boot(t, shared, failover.Options{}, perdure.Options{}, false)
				n := m.boot(t, shared, failover.Options{Dir: dir}, days, false)
				d := before(t, n)
				for i := range d.revoked { // unknown to n
					d.revoked = append(d.revoked, other.create(t, fmt.Sprint("revoked", i)))
				}
				n.cut.Store(true)
				_, _ = n.Get(t.Context(), perdure.NewID(0))
				m.setBy(wrong)
				for _, id := range d.out[:5] {
					if ok, err := n.Delete(t.Context(), id); !ok || err != nil {
						t.Fatal(ok, err)
					}
				}
				n.restart(t, &m, shared, dir)
				time.Sleep(5 * time.Second)
				for i, id := range d.out[5:] {
					if ok, err := n.Delete(t.Context(), id); !ok || err != nil {
						t.Fatal(ok, err)
					}
					d.born = append(d.born, n.create(t, fmt.Sprint("born", i)))
				}
				for i := range each {
					if _, err := n.RevokeUser(t.Context(), fmt.Sprint("revoked", i)); err != nil {
						t.Fatal(err)
					}
					d.born = append(d.born, n.create(t, fmt.Sprint("revoked", i)))
				}
				time.Sleep(5 * time.Second)
				m.setBy(0)
				n.restart(t, &m, shared, dir)
				d.born = append(d.born, n.create(t, "revoked0"))
				n.cut.Store(false)
				n.recovers(t)
				for _, p := range []*node{n, other} {
					p.want(t, false, d.out...)
					p.want(t, false, d.revoked...)
					p.want(t, true, d.kept...)
					for _, id := range d.born {
						if _, err := p.Get(t.Context(), id); err != nil {
							t.Errorf("a login: %v", err)
						}
					}
				}
				if h := n.failover.Health(t.Context()); h.Refused != 0 || h.JournalDepth != 0 {
					t.Errorf("health: %+v", h)
				}
			})
		})
	}
}

// TestRestartsInAnOutageMoveNothing: what a process stamped by a right clock, that was
// started in the outage and restarted in it before anybody told it the time, was made
// when it was made.
func TestRestartsInAnOutageMoveNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared, dir := newShared(t), t.TempDir()
		var right, m machine
		other := right.boot(t, shared, failover.Options{}, days, false)
		n := m.boot(t, shared, failover.Options{Dir: dir}, days, true)
		out := n.create(t, "u")
		if _, err := n.RevokeUser(t.Context(), "v"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(12 * time.Second)
		if _, err := other.RevokeUser(t.Context(), "u"); err != nil {
			t.Fatal(err)
		}
		in := []string{other.create(t, "v")} // after its revocation
		time.Sleep(12 * time.Second)
		in = append(in, n.create(t, "u"))
		made, err := n.Get(t.Context(), in[1])
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			n.restart(t, &m, shared, dir)
			time.Sleep(12 * time.Second)
		}
		n.cut.Store(false)
		n.recovers(t)
		for _, p := range []*node{n, other} {
			p.want(t, false, out)
			p.want(t, true, in...)
			s, err := p.Get(t.Context(), made.ID)
			if err != nil || !s.CreatedAt.Equal(made.CreatedAt) || !s.ExpiresAt.Equal(made.ExpiresAt) || !s.LastAccessedAt.Equal(made.LastAccessedAt) || s.Version != made.Version {
				t.Errorf("it was %+v and is %+v, %v", made, s, err)
			}
		}
	})
}

// restart ends the process and starts another on its directory; it stays cut off.
func (n *node) restart(t *testing.T, m *machine, shared perdure.Backend, dir string) {
	t.Helper()
	if err := n.Store.Close(); err != nil {
		t.Fatal(err)
	}
	next := m.boot(t, shared, failover.Options{Dir: dir}, days, true)
	*n = *next
}

// TestAWrongClockWhileAllIsWell: a machine whose clock is ahead ends nobody's
// session, one whose clock is behind serves none that is over.
func TestAWrongClockWhileAllIsWell(t *testing.T) {
	for _, wrong := range wrongs() {
		t.Run(wrong.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shared := newShared(t)
				var right, m machine
				idle := perdure.Options{IdleTimeout: 30 * time.Second}
				other := right.boot(t, shared, failover.Options{}, idle, false)
				n := m.boot(t, shared, failover.Options{}, idle, false)
				var kept, over []string
				for range each {
					kept, over = append(kept, other.create(t, "u")), append(over, other.create(t, "u"))
				}
				n.want(t, true, kept...)
				n.want(t, true, over...)
				m.setBy(wrong)
				for range 3 {
					time.Sleep(20 * time.Second)
					for _, id := range kept {
						if touched, err := other.Touch(t.Context(), id); !touched || err != nil {
							t.Fatal("in use by another and over: ", touched, err)
						}
						if _, err := n.Get(t.Context(), id); err != nil {
							t.Errorf("in use: %v", err)
						}
					}
				}
				for range 2 {
					n.want(t, false, over...)
					other.want(t, false, over...)
					for _, id := range over {
						if touched, err := n.Touch(t.Context(), id); touched || err != nil {
							t.Errorf("a touch of what is over: %v, %v", touched, err)
						}
						expires := time.Now().Add(time.Hour)
						if _, err := n.Update(t.Context(), id, perdure.Patch{ExpiresAt: expires}); !errors.Is(err, perdure.ErrNotFound) {
							t.Errorf("an update of what is over: %v", err)
						}
					}
				}
				s, err := n.Create(t.Context(), perdure.Data{UserID: "u"})
				if age := time.Since(s.CreatedAt); err != nil || age.Abs() > time.Second {
					t.Errorf("created %v ago, %v", age, err)
				}
			})
		})
	}
}
