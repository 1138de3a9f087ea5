package factory_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/factory"
	"github.com/perdure/perdure/internal/redistest"
)

// ailment is a way in which Redis takes no writes, though it may answer.
type ailment struct {
	begin, end func(t *testing.T, s *redistest.Server, admin *redistest.Conn)
}

// setting is an ailment that a command begins and another ends.
func setting(begin, end string) ailment {
	command := func(text string) func(*testing.T, *redistest.Server, *redistest.Conn) {
		return func(t *testing.T, _ *redistest.Server, admin *redistest.Conn) {
			if _, err := admin.Do(strings.Fields(text)...); err != nil {
				t.Fatal(text, err)
			}
		}
	}
	return ailment{command(begin), command(end)}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// pack has other clients take all connections, and those that writes need be gone.
func pack(t *testing.T, _ *redistest.Server, admin *redistest.Conn) {
	_, err := admin.Do("CONFIG", "SET", "maxclients", "1")
	must(t, err)
	list, err := admin.Do("CLIENT", "LIST")
	must(t, err)
	for line := range strings.Lines(list.(string)) {
		if strings.Contains(line, "cmd=evalsha") {
			id, _, _ := strings.Cut(strings.TrimPrefix(line, "id="), " ")
			_, err := admin.Do("CLIENT", "KILL", "ID", id)
			must(t, err)
		}
	}
}

// TestEveryOutageEnds: whatever keeps Redis from taking writes, logins and logouts
// are served all along, and soon after it ends all is well: no timer that was set
// before it keeps it alive.
func TestEveryOutageEnds(t *testing.T) {
	for name, ill := range map[string]ailment{
		"killed": {
			func(t *testing.T, s *redistest.Server, _ *redistest.Conn) { must(t, s.Kill()) },
			func(t *testing.T, s *redistest.Server, _ *redistest.Conn) { must(t, s.Restart(t.Context())) },
		},
		"stopped": {
			func(t *testing.T, s *redistest.Server, _ *redistest.Conn) { must(t, s.Stop()) },
			func(t *testing.T, s *redistest.Server, _ *redistest.Conn) { must(t, s.Continue()) },
		},
		"a replica":       setting("REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE"),
		"no replicas":     setting("CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0"),
		"no permission":   setting("ACL SETUSER default -xadd", "ACL SETUSER default +xadd"),
		"full":            setting("CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0"),
		"too many others": {pack, setting("", "CONFIG SET maxclients 1000").end},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := redistest.Start(t, redistest.Options{Persist: true})
			admin, err := server.Dial(t.Context())
			must(t, err)
			defer admin.Close()
			i := open(t, factory.Config{RedisURL: server.URL(), RedisHealthCheckInterval: time.Hour})
			kept, out := login(t, i), login(t, i)
			ill.begin(t, server, admin)
			for range 20 {
				login(t, i)
			}
			if ended, err := i.Delete(t.Context(), out.ID); !ended || err != nil {
				t.Errorf("a logout: %v, %v", ended, err)
			}
			await(t, i, failover.Degraded)
			made := login(t, i)
			ill.end(t, server, admin)
			await(t, i, failover.Healthy)
			other, err := factory.OpenAddress(t.Context(), server.URL(), factory.Config{}, nil)
			must(t, err)
			defer other.Close()
			for _, s := range []perdure.Session{kept, made} {
				if _, err := other.Get(t.Context(), s.ID); err != nil {
					t.Error(err)
				}
			}
			if _, err := other.Get(t.Context(), out.ID); err == nil {
				t.Error("who was logged out is back")
			}
		})
	}
}

func login(t *testing.T, i *factory.Instance) perdure.Session {
	t.Helper()
	s, err := i.Create(t.Context(), perdure.Data{UserID: "ada"})
	if err != nil {
		t.Errorf("a login: %v", err)
		return perdure.Session{}
	}
	return s
}

// TestNoInfoIsNoLoss: to a user that may not send INFO, more connections to the same
// server are no sign of lost data. Who is not there is not there.
func TestNoInfoIsNoLoss(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	if _, err := server.Do("ACL", "SETUSER", "limited", "on", ">pw", "~*", "+@all", "-info"); err != nil {
		t.Fatal(err)
	}
	i := open(t, factory.Config{RedisURL: "redis://limited:pw@" + server.Addr()})
	await(t, i, failover.Healthy)
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() { login(t, i) })
	}
	all.Wait()
	for range 100 {
		if _, err := i.Get(t.Context(), perdure.NewID(1)); !errors.Is(err, perdure.ErrNotFound) {
			t.Fatalf("a stranger: %v", err)
		}
	}
}
