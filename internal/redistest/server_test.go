package redistest

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// brief is how long a test waits for an answer that must not come.
const brief = 100 * time.Millisecond

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// expect runs a command and compares its reply.
func expect(t *testing.T, s *Server, want any, args ...string) {
	t.Helper()
	got, err := s.Do(args...)
	if err != nil || got != want {
		t.Fatalf("%v at %s: got %v (%v), want %v", args, s.Addr(), got, err, want)
	}
}

// expectError runs a command and compares the beginning of the error reply.
func expectError(t *testing.T, s *Server, want string, args ...string) {
	t.Helper()
	got, err := s.Do(args...)
	replied, ok := errors.AsType[ReplyError](err)
	if !ok || !strings.HasPrefix(replied.Error(), want) {
		t.Fatalf("%v at %s: got %v (%v), want an error %s", args, s.Addr(), got, err, want)
	}
}

// write runs a command and waits until so many replicas have it too.
func write(t *testing.T, s *Server, replicas int64, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), doTimeout)
	defer cancel()
	c, err := s.Dial(ctx)
	must(t, err)
	defer c.Close()
	_, err = c.Do(args...)
	must(t, err)
	if n, err := c.Do("WAIT", strconv.FormatInt(replicas, 10), "0"); err != nil || n != replicas {
		t.Fatalf("%v at %s has reached %v replicas (%v), want %d", args, s.Addr(), n, err, replicas)
	}
}

func TestStart(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	if want := "redis://" + s.Addr(); s.URL() != want {
		t.Errorf("URL is %s, want %s", s.URL(), want)
	}
	if s.TLSConfig() != nil || s.CAFile()+s.CertFile()+s.KeyFile() != "" {
		t.Error("a server without TLS has certificates")
	}
	if !strings.Contains(s.Log(), "Ready to accept connections") {
		t.Errorf("log is %q", s.Log())
	}
	expect(t, s, "PONG", "PING")
	config, err := s.Do("CONFIG", "GET", "appendonly")
	must(t, err)
	if !slices.Equal(config.([]any), []any{"appendonly", "no"}) {
		t.Errorf("appendonly is %v", config)
	}
}

func TestStartManyAtOnce(t *testing.T) {
	t.Parallel()
	const count = 16
	err := each(make([]struct{}, count), func(int, struct{}) error {
		s, err := Launch(t.Context(), Options{})
		if err != nil {
			return err
		}
		_, err = s.Do("SET", "key", s.Addr())
		return errors.Join(err, s.Close())
	})
	must(t, err)
}

func TestReplies(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	expect(t, s, "OK", "SET", "key", "a\r\nb\x00")
	expect(t, s, "a\r\nb\x00", "GET", "key")
	expect(t, s, "", "GETRANGE", "key", "9", "10")
	expect(t, s, nil, "GET", "none")
	expect(t, s, int64(7), "INCRBY", "n", "7")
	expectError(t, s, "WRONGTYPE ", "LPOP", "key")
	got, err := s.Do("EVAL", "return {1, 'a', {false, redis.error_reply('BAD x')}}", "0")
	must(t, err)
	list := got.([]any)
	if !slices.Equal(list[:2], []any{int64(1), "a"}) || !slices.Equal(list[2].([]any), []any{nil, ReplyError("BAD x")}) {
		t.Fatalf("got %v", got)
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	const secret = `p@ss w:rd"/\%é`
	for name, test := range map[string]struct {
		options Options
		user    string
	}{
		"requirepass": {Options{Password: secret}, ":p%40ss%20w%3Ard%22%2F%5C%25%C3%A9@"},
		"user":        {Options{Username: "us:er", Password: secret}, "us%3Aer:p%40ss%20w%3Ard%22%2F%5C%25%C3%A9@"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := Start(t, test.options)
			if want := "redis://" + test.user + s.Addr(); s.URL() != want {
				t.Errorf("URL is %s, want %s", s.URL(), want)
			}
			expect(t, s, "OK", "SET", "key", "value")

			stranger := anonymous(t, s)
			if _, err := stranger.Do("GET", "key"); err == nil || !strings.HasPrefix(err.Error(), "NOAUTH") {
				t.Errorf("without a password: %v, want NOAUTH", err)
			}
			if _, err := stranger.Do("AUTH", secret); test.options.Username != "" && err == nil {
				t.Error("the default user is let in")
			}
			if _, err := stranger.Do("AUTH", "us:er", "wrong"); err == nil {
				t.Error("a wrong password is let in")
			}
		})
	}
}

// anonymous connects without logging in.
func anonymous(t *testing.T, s *Server) *Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), doTimeout)
	t.Cleanup(cancel)
	c, err := (&Server{port: s.port, identity: s.identity}).Dial(ctx)
	must(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestOptionsInConflict(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{
		{Username: "user"},
		{Username: "us er", Password: "x"},
		{Password: "x\ny"},
		{Port: 70000},
	} {
		if s, err := Launch(t.Context(), o); err == nil {
			s.Close()
			t.Errorf("%+v was accepted", o)
		}
	}
	if _, err := LaunchCluster(t.Context(), ClusterOptions{Node: Options{Port: 7000}}); err == nil {
		t.Error("a port for a whole cluster was accepted")
	}
}

func TestConfigWins(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{Config: []string{"maxmemory 7mb", "appendonly yes"}})
	info, err := s.Do("INFO", "everything")
	must(t, err)
	if infoField(info.(string), "maxmemory") != "7340032" || infoField(info.(string), "aof_enabled") != "1" {
		t.Error("the configuration lines have no effect")
	}
}

func TestPort(t *testing.T) {
	t.Parallel()
	s, err := Launch(t.Context(), Options{})
	must(t, err)
	must(t, s.Close())

	again := Start(t, Options{Port: s.port.Number()})
	if again.Addr() != s.Addr() {
		t.Fatalf("asked for %s, got %s", s.Addr(), again.Addr())
	}
	if _, err := Launch(t.Context(), Options{Port: s.port.Number()}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("launching on a port in use: %v, want address in use", err)
	}
}

// TestPortTakenAfterAll has somebody listen on a port that a server has
// reserved already.
func TestPortTakenAfterAll(t *testing.T) {
	t.Parallel()
	s := Start(t, Options{})
	must(t, s.Kill())
	l, err := net.Listen("tcp", s.Addr())
	must(t, err)
	defer l.Close()
	if _, taken := errors.AsType[portTakenError](s.Restart(t.Context())); !taken {
		t.Fatalf("restarting: %v, want a port that is taken", err)
	}

	launches := 0
	again, err := retryTaken(func() (*Server, error) {
		if launches++; launches < 3 {
			return nil, portTakenError{s.Addr()}
		}
		return Launch(t.Context(), Options{})
	})
	must(t, err)
	must(t, again.Close())
}

func TestFailedStartShowsTheLog(t *testing.T) {
	t.Parallel()
	_, err := Launch(t.Context(), Options{Config: []string{"no-such-directive yes"}})
	if err == nil || !strings.Contains(err.Error(), "no-such-directive") || !strings.Contains(err.Error(), "exit status 1") {
		t.Fatalf("got %v, want the end of the log", err)
	}
}

func TestStartIsBoundByTheContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Launch(ctx, Options{}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want context canceled", err)
	}
}

// failing is a test that fails instead of the one that runs.
type failing struct {
	testing.TB
	message string
}

func (f *failing) Helper() {}

func (f *failing) Fatal(args ...any) { f.message = args[0].(error).Error(); panic(f) }

func TestMissingBinaryFailsTheTest(t *testing.T) {
	t.Setenv(BinaryVariable, "no-such-redis-server")
	for name, start := range map[string]func(tb testing.TB){
		"Start":         func(tb testing.TB) { Start(tb, Options{}) },
		"StartSentinel": func(tb testing.TB) { StartSentinel(tb, SentinelOptions{}) },
		"StartCluster":  func(tb testing.TB) { StartCluster(tb, ClusterOptions{}) },
	} {
		f := &failing{TB: t}
		func() {
			defer func() {
				if r := recover(); r != f {
					t.Errorf("%s did not fail the test: %v", name, r)
				}
			}()
			start(f)
		}()
		if strings.Count(f.message, "apt-get install redis-server") != 1 {
			t.Errorf("%s fails with %q, which does not say what to install", name, f.message)
		}
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	s, err := Launch(t.Context(), Options{TLS: true})
	must(t, err)
	must(t, s.Stop())
	must(t, s.Close())
	must(t, s.Close())
	if _, err := os.Stat(s.dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the directory is left: %v", err)
	}
	if s.process.running() {
		t.Error("the process is left")
	}
}
