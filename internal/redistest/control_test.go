package redistest

import (
	"context"
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestStopAndContinue(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	expect(t, s, "OK", "SET", "key", "value")
	must(t, s.Stop())
	if s.Running() {
		t.Error("a stopped server counts as running")
	}
	ctx, cancel := context.WithTimeout(t.Context(), brief)
	defer cancel()
	_, err := s.do(ctx, "GET", "key")
	if timeout, ok := errors.AsType[net.Error](err); !ok || !timeout.Timeout() {
		t.Fatalf("a stopped server answers: %v", err)
	}
	must(t, s.Continue())
	expect(t, s, "value", "GET", "key")
}

func TestKillAndRestart(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options Options
		want    any
	}{
		"Persist": {Options{Persist: true}, "value"},
		"memory":  {Options{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Start(t, test.options)
			addr := s.Addr()
			expect(t, s, "OK", "SET", "key", "value")
			must(t, s.Kill())
			must(t, s.Kill())
			refused(t, s)
			if s.Running() || s.Stop() == nil || s.Continue() == nil {
				t.Error("a killed server can be stopped and continued")
			}
			must(t, s.Restart(t.Context()))
			if s.Addr() != addr {
				t.Errorf("the server was at %s and is at %s", addr, s.Addr())
			}
			expect(t, s, test.want, "GET", "key")
		})
	}
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{Persist: true})
	expect(t, s, "OK", "SET", "key", "value")
	must(t, s.Stop()) // one that is stopped has to go on for this
	must(t, s.Shutdown())
	must(t, s.Shutdown())
	refused(t, s)
	if !strings.Contains(s.Log(), "ready to exit, bye bye") {
		t.Errorf("the server was not shut down in order; its log ends:\n%s", tail(s.Log()))
	}
	must(t, s.Restart(t.Context()))
	must(t, s.Restart(t.Context())) // also one that is up
	expect(t, s, "value", "GET", "key")
	if n := strings.Count(s.Log(), "Ready to accept connections"); n != 3 {
		t.Errorf("the log holds %d starts, want all 3", n)
	}
}

func TestRestartEmpty(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{Persist: true, TLS: true, Username: "user", Password: "secret"})
	expect(t, s, "OK", "SET", "key", "value")
	must(t, s.RestartEmpty(t.Context()))
	expect(t, s, nil, "GET", "key")
	expect(t, s, "OK", "SET", "key", "second")
	must(t, s.Kill())
	must(t, s.Restart(t.Context()))
	expect(t, s, "second", "GET", "key")
}

func refused(t *testing.T, s *Server) {
	t.Helper()
	if _, err := s.Do("PING"); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Fatalf("a server that is down: %v, want connection refused", err)
	}
}

func TestPollGivesUp(t *testing.T) {
	t.Parallel()
	final := errors.New("for good")
	if err := poll(t.Context(), func(context.Context) error { return finalError{final} }); err != final {
		t.Errorf("got %v, want %v", err, final)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
	defer cancel()
	err := poll(ctx, func(context.Context) error { return final })
	if !errors.Is(err, final) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline and what was last seen", err)
	}
}
