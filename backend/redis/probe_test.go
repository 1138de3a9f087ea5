package redis

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/redistest"
)

// commandsOf are the commands that a script runs.
func commandsOf(sources ...string) []string {
	found := map[string]bool{}
	for _, source := range sources {
		for _, match := range regexp.MustCompile(`call\('([A-Z]+)'`).FindAllStringSubmatch(source, -1) {
			found[match[1]] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// writeScripts are those that logins, logouts and sweeps need.
func writeScripts() []string { return []string{luaApply, luaFill, luaIndex, luaRevoke, luaSweep} }

// TestTheProbeRunsEveryCommand that the scripts do which write: what is called well
// is what they need.
func TestTheProbeRunsEveryCommand(t *testing.T) {
	needed, probed := commandsOf(writeScripts()...), commandsOf(luaProbing)
	if len(needed) < 15 {
		t.Fatalf("the scripts run %v: they are not read well", needed)
	}
	for _, command := range needed {
		if !slices.Contains(probed, command) {
			t.Errorf("the probe does not run %s", command)
		}
	}
	if len(probed) > len(needed) {
		t.Errorf("the probe runs %v, and the scripts %v", probed, needed)
	}
}

// clients has an administrator's connection, which maxclients does not concern.
func administrator(t *testing.T, server *redistest.Server) *redistest.Conn {
	t.Helper()
	admin, err := server.Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { admin.Close() })
	return admin
}

func order(t *testing.T, c *redistest.Conn, args ...string) any {
	t.Helper()
	reply, err := c.Do(args...)
	if err != nil {
		t.Fatal(args, err)
	}
	return reply
}

// TestForbiddenCommandsAreNotWell: whatever command of a create or a logout this
// user may not send, the probe fails, says so, and leaves nothing behind.
func TestForbiddenCommandsAreNotWell(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	admin := administrator(t, server)
	order(t, admin, "ACL", "SETUSER", "limited", "on", ">pw", "~*", "+@all")
	b := open(t, Options{URL: "redis://limited:pw@" + server.Addr()})
	commands := append(commandsOf(writeScripts()...), "EVALSHA", "MGET")
	for _, command := range commands {
		order(t, admin, "ACL", "SETUSER", "limited", "-"+strings.ToLower(command))
		err := b.Ping(t.Context())
		if err == nil || !strings.Contains(err.Error(), "ACL") {
			t.Errorf("without %s: %v", command, err)
		}
		order(t, admin, "ACL", "SETUSER", "limited", "+"+strings.ToLower(command))
		if err := b.Ping(t.Context()); err != nil {
			t.Errorf("with %s again: %v", command, err)
		}
		if keys := order(t, admin, "DBSIZE"); keys != int64(0) {
			for _, key := range order(t, admin, "KEYS", "*").([]any) {
				if left := order(t, admin, "PTTL", key.(string)).(int64); left < 0 {
					t.Errorf("without %s: %s is left, for ever", command, key)
				}
			}
			order(t, admin, "FLUSHALL")
		}
	}
}

func TestARenamedCommandIsNotWell(t *testing.T) {
	server := redistest.Start(t, redistest.Options{Config: []string{"rename-command TIME hidden"}})
	b := open(t, Options{URL: server.URL()})
	if err := b.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "renamed") {
		t.Errorf("got %v", err)
	}
}

// TestAPingSeesWhatCallsSee: at maxclients a write that needs a connection anew
// fails, and so does the probe, although its own connection is there.
func TestAPingSeesWhatCallsSee(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	admin := administrator(t, server)
	if err := put(t.Context(), b, session("u")); err != nil {
		t.Fatal(err)
	}
	order(t, admin, "CONFIG", "SET", "maxclients", "1")
	for line := range strings.Lines(order(t, admin, "CLIENT", "LIST").(string)) {
		if strings.Contains(line, "cmd=evalsha") || strings.Contains(line, "cmd=eval ") {
			id, _, _ := strings.Cut(strings.TrimPrefix(line, "id="), " ")
			order(t, admin, "CLIENT", "KILL", "ID", id)
		}
	}
	if err := put(t.Context(), b, session("u")); err == nil {
		t.Fatal("a write needs no connection of its own any more: test what it does need")
	}
	for range 3 {
		if err := b.Ping(t.Context()); err == nil {
			t.Error("a ping is well, and writes are not")
		}
	}
	order(t, admin, "CONFIG", "SET", "maxclients", "1000")
	wantBack(t, b)
	if err := b.Ping(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestAPingLeavesNothing that anybody could see.
func TestAPingLeavesNothing(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	cluster := redistest.StartCluster(t, redistest.ClusterOptions{})
	for url, servers := range map[string][]*redistest.Server{server.URL(): {server}, cluster.URL(): cluster.Nodes()} {
		if err := open(t, Options{URL: url}).Ping(t.Context()); err != nil {
			t.Error(err)
		}
		for _, s := range servers {
			if keys, err := s.Do("KEYS", "*"); err != nil || len(keys.([]any)) > 0 {
				t.Errorf("there are %v, %v", keys, err)
			}
		}
	}
}
