package perdure_test

import (
	"errors"
	"testing"
	"time"

	"github.com/perdure/perdure"
)

// TestWhatASweepLeaves: a session is over and swept in one store, and a record of it
// comes from another. What is only older stays dead; what was put off there after the
// last write here, or was used there when it had not been here, lives; a logout or a
// revocation that came since ends that too.
func TestWhatASweepLeaves(t *testing.T) {
	const hour = time.Hour
	cut := func(t *testing.T, s *perdure.Store, c *testClock, id string) {
		c.now = c.now.Add(time.Minute)
		if _, err := s.Update(t.Context(), id, perdure.Patch{ExpiresAt: c.now.Add(hour / 2)}); err != nil {
			t.Fatal(err)
		}
	}
	extend := func(t *testing.T, s *perdure.Store, c *testClock, id string) {
		c.now = c.now.Add(time.Minute)
		if _, err := s.Update(t.Context(), id, perdure.Patch{ExpiresAt: c.now.Add(5 * hour)}); err != nil {
			t.Fatal(err)
		}
	}
	use := func(t *testing.T, s *perdure.Store, c *testClock, id string) {
		c.now = c.now.Add(hour / 2)
		if ok, err := s.Touch(t.Context(), id); !ok || err != nil {
			t.Fatal(ok, err)
		}
		c.now = c.now.Add(hour / 4)
	}
	logout := func(t *testing.T, s *perdure.Store, _ *testClock, id string) {
		if ok, err := s.Delete(t.Context(), id); ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	revoke := func(t *testing.T, s *perdure.Store, _ *testClock, _ string) {
		if _, err := s.RevokeUser(t.Context(), "u"); err != nil {
			t.Fatal(err)
		}
	}
	type act func(*testing.T, *perdure.Store, *testClock, string)
	for name, c := range map[string]struct {
		here, there, since act // before the sweep, in the other store, after the sweep
		later              time.Duration
		lives              bool
	}{
		"older":                     {here: cut, later: hour, lives: false},
		"over as it was promised":   {later: 2 * hour, lives: false},
		"put off":                   {there: extend, later: 2 * hour, lives: true},
		"put off, then cut here":    {there: extend, here: cut, later: hour, lives: false},
		"put off, and logged out":   {there: extend, later: 2 * hour, since: logout, lives: false},
		"put off, and revoked":      {there: extend, later: 2 * hour, since: revoke, lives: false},
		"used there":                {there: use, later: 0, lives: true},
		"used there, and revoked":   {there: use, later: 0, since: revoke, lives: false},
		"used there, and cut here":  {here: cut, there: use, later: 0, lives: false},
		"used there, and was ended": {there: use, later: 0, since: logout, lives: false},
	} {
		t.Run(name, func(t *testing.T) {
			options := perdure.Options{TTL: 90 * time.Minute, IdleTimeout: hour}
			if c.there == nil || c.later > 0 {
				options.IdleTimeout = 0
			}
			here, clock := newStore(t, options)
			there, clock2 := newStore(t, options)
			clock2.now = clock.now
			id := perdure.NewOutageID(perdure.HashUser("u").Partition(), clock.now)
			mustCreate(t, here, perdure.Data{ID: id, UserID: "u"})
			move := func(from, to *perdure.Store) perdure.Record {
				r, err := from.Backend().Get(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				m := perdure.Merger{Backend: to.Backend(), Clock: perdure.NewClock(clock.Now)}
				merged, err := m.Merge(t.Context(), r)
				if err != nil {
					t.Fatal(err)
				}
				return merged.Record
			}
			move(here, there)
			if c.there != nil {
				c.there(t, there, clock2, id)
				clock.now = clock2.now
			}
			if c.here != nil {
				c.here(t, here, clock, id)
			}
			clock.now = clock.now.Add(c.later)
			if c.here == nil && c.later == 0 { // not used here: over by its idle timeout
				clock.now = clock.now.Add(hour / 4)
			}
			if name == "used there, and cut here" {
				clock.now = clock.now.Add(hour)
			}
			if n, err := here.DeleteExpired(t.Context()); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			if c.since != nil {
				c.since(t, here, clock, id)
			}
			for range 2 {
				move(there, here)
			}
			if lives, err := here.Exists(t.Context(), id); lives != c.lives || err != nil {
				t.Errorf("it lives: %v, %v; want %v", lives, err, c.lives)
			}
		})
	}
}

// TestALogoutOfWhatIsStillToComeOutlastsIt: a session that was made in an outage, and is
// known to nobody else yet, can be extended to its horizon, which lies beyond a short
// MaxTTL. What a logout leaves of it stands as long.
func TestALogoutOfWhatIsStillToComeOutlastsIt(t *testing.T) {
	options := perdure.Options{TTL: 30 * time.Minute, MaxTTL: time.Hour}
	here, clock := newStore(t, options)
	there, clock2 := newStore(t, options)
	clock2.now = clock.now
	id := perdure.NewOutageID(perdure.HashUser("u").Partition(), clock.now)
	mustCreate(t, there, perdure.Data{ID: id, UserID: "u"})
	if _, err := there.Update(t.Context(), id, perdure.Patch{ExpiresAt: clock.now.Add(10 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if _, err := here.Revoke(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	clock.now = clock.now.Add(2 * time.Hour)
	if _, err := here.DeleteExpired(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := there.Backend().Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	m := perdure.Merger{Backend: here.Backend(), Clock: perdure.NewClock(clock.Now)}
	if _, err := m.Merge(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if _, err := here.Get(t.Context(), id); !errors.Is(err, perdure.ErrNotFound) {
		t.Errorf("the session that was logged out: %v", err)
	}
}
