package redistest

import (
	"net/url"
	"strings"
	"testing"
)

func TestSentinel(t *testing.T) {
	t.Parallel()
	s := StartSentinel(t, SentinelOptions{})
	checkSentinelURL(t, s, "redis", nil)
	first := s.Master()
	if first != s.Nodes()[0] || len(s.Nodes()) != 2 || len(s.Sentinels()) != 3 {
		t.Fatalf("the master is %s of %v, under %v", first.Addr(), addrs(s.Nodes()), addrs(s.Sentinels()))
	}
	write(t, first, 1, "SET", "key", "value")
	expectError(t, s.Nodes()[1], "READONLY", "SET", "key", "value")

	must(t, s.Failover(t.Context()))
	second := s.Master()
	if second != s.Nodes()[1] {
		t.Fatalf("the master is %s still", second.Addr())
	}
	expect(t, second, "value", "GET", "key")
	must(t, s.Settle(t.Context()))
	expectError(t, first, "READONLY", "SET", "key", "value")
}

func TestSentinelMasterDies(t *testing.T) {
	t.Parallel()
	node := Options{TLS: true, Username: "user", Password: "secret", Persist: true}
	s := StartSentinel(t, SentinelOptions{Node: node, Replicas: 2, SentinelPassword: "guard"})
	checkSentinelURL(t, s, "rediss", url.UserPassword("user", "secret"))
	write(t, s.Master(), 2, "SET", "key", "value")

	dead, err := s.KillMaster()
	must(t, err)
	must(t, s.Settle(t.Context()))
	if s.Master() == dead {
		t.Fatal("the dead master was not replaced")
	}
	expect(t, s.Master(), "value", "GET", "key")

	must(t, dead.Restart(t.Context()))
	must(t, s.Settle(t.Context()))
	expectError(t, dead, "READONLY", "SET", "key", "value")
	must(t, s.Sentinels()[0].Restart(t.Context())) // it has kept its state
	must(t, s.Settle(t.Context()))
}

func checkSentinelURL(t *testing.T, s *Sentinel, scheme string, user *url.Userinfo) {
	t.Helper()
	want := scheme + "://"
	if user != nil {
		want += user.String() + "@"
	}
	want += strings.Join(addrs(s.Sentinels()), ",") + "/0?master_name=mymaster"
	if s.URL() != want {
		t.Errorf("URL is %s, want %s", s.URL(), want)
	}
}
