package redis

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
)

// TestAMachineThatIsWrong: over one server, one whose clock is two hours ahead sweeps
// nobody, forgets nobody in the index of a user, and stamps as the server would.
func TestAMachineThatIsWrong(t *testing.T) {
	for _, wrong := range []time.Duration{40 * time.Second, 2 * time.Hour, -90 * time.Second} {
		t.Run(wrong.String(), func(t *testing.T) {
			server := redistest.Start(t, redistest.Options{})
			store := func(now func() time.Time) *perdure.Store {
				s, err := perdure.New(open(t, Options{URL: server.URL()}), perdure.Options{IdleTimeout: 30 * time.Second, Now: now})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { s.Close() })
				return s
			}
			right := store(nil)
			other := store(func() time.Time { return time.Now().Add(wrong) })
			var ids []string
			for range 50 {
				s, err := right.Create(t.Context(), perdure.Data{UserID: "u"})
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, s.ID)
			}
			if n, err := other.DeleteExpired(t.Context()); n != 0 || err != nil {
				t.Errorf("swept %d, %v", n, err)
			}
			made, err := other.Create(t.Context(), perdure.Data{UserID: "u"})
			if age := time.Since(made.CreatedAt); err != nil || age.Abs() > 5*time.Second {
				t.Errorf("created %v ago, %v", age, err)
			}
			for _, id := range append(ids, made.ID) {
				if _, err := right.Get(t.Context(), id); err != nil {
					t.Fatal(err)
				}
			}
			if n, err := other.RevokeUser(t.Context(), "u"); n != len(ids)+1 || err != nil {
				t.Errorf("revoked %d of %d, %v", n, len(ids)+1, err)
			}
		})
	}
}

// TestTheServersTime is taken from replies: it is within each, and where it may be
// right already it stays as it is. Between them it goes on by the monotonic clock.
func TestTheServersTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newTimekeeper()
		var ahead time.Duration // of the server
		ask := func(there, back time.Duration) {
			sent := time.Now()
			time.Sleep(there)
			server := time.Now().Add(ahead)
			time.Sleep(back)
			k.saw(server, sent, time.Now())
		}
		off := func() time.Duration { return k.now().Sub(time.Now()) - ahead }
		for i, step := range []time.Duration{-time.Hour, 0, 50 * time.Hour, -time.Second, 0} {
			ahead += step
			ask(2*time.Millisecond, 2*time.Millisecond)
			if off() != 0 {
				t.Errorf("step %d: off by %v", i, off())
			}
			time.Sleep(time.Hour)
			ask(time.Millisecond, 999*time.Millisecond) // says little
			if off() != 0 {
				t.Errorf("step %d, after a slow reply: off by %v", i, off())
			}
		}
		ahead += 10 * time.Millisecond
		ask(0, time.Second)
		if off() != -10*time.Millisecond {
			t.Errorf("what may be right was moved: off by %v", off())
		}
		ask(time.Millisecond, 5*time.Millisecond)
		if off().Abs() > 3*time.Millisecond {
			t.Errorf("off by %v, more than half the time that the reply took", off())
		}
		if n := testing.AllocsPerRun(100, func() { k.now() }); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}

// TestANewConnectionIsAskedForTheTime: it may be to another server.
func TestANewConnectionIsAskedForTheTime(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	wrong := time.Now().Add(time.Hour)
	b.time.last.Store(&moment{server: wrong, began: time.Now()})
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for time.Until(b.Now()).Abs() > time.Minute {
		_ = b.Ping(t.Context()) // connects
		if t.Context().Err() != nil {
			t.Fatal("still off by ", time.Until(b.Now()))
		}
	}
}

// TestTheTimeOfACluster is that of one master, whoever asks.
func TestTheTimeOfACluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, redistest.ClusterOptions{})
	b := open(t, Options{URL: fmt.Sprint(cluster.URL())})
	if off := time.Until(b.Now()); off.Abs() > time.Minute {
		t.Errorf("off by %v", off)
	}
	b.time.last.Store(&moment{server: time.Now().Add(time.Hour), began: time.Now()})
	if err := b.measure(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if off := time.Until(b.Now()); off.Abs() > time.Minute {
		t.Errorf("off by %v", off)
	}
}
