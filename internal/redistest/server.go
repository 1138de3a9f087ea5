package redistest

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/perdure/perdure/internal/redistest/loopback"
)

// launchAttempts is how often another port is tried where the first one was
// taken between being found and being listened on.
const launchAttempts = 5

// Server is a redis-server process, running or not. Its address and its files
// stay the same from its launch to its Close.
//
// The methods may be called from several goroutines.
type Server struct {
	*identity // of its certificates; nil without TLS

	options Options
	profile profile
	binary  string
	dir     string
	port    *loopback.Port

	mu      sync.Mutex
	process *process
	stopped bool
}

// Start launches a server that ends with the test, or fails the test. Where
// the test fails later, it shows the end of the server's log.
func Start(tb testing.TB, o Options) *Server {
	tb.Helper()
	s, err := Launch(tb.Context(), o)
	if err != nil {
		tb.Fatal(err)
	}
	closeAfter(tb, s)
	return s
}

// Launch starts a server and waits until it answers. The context bounds the
// start, not the server's life: that ends at Close.
func Launch(ctx context.Context, o Options) (*Server, error) {
	return retryTaken(func() (*Server, error) { return launch(ctx, o, profile{}) })
}

// retryTaken launches again where a port was taken after it had been chosen.
func retryTaken[T any](start func() (T, error)) (T, error) {
	for attempt := 1; ; attempt++ {
		result, err := start()
		if err == nil || attempt == launchAttempts {
			return result, err
		}
		if _, taken := errors.AsType[portTakenError](err); !taken {
			return result, err
		}
	}
}

func launch(ctx context.Context, o Options, p profile) (*Server, error) {
	s, err := prepare(o, p)
	if err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// prepare sets up all that a server needs before its process.
func prepare(o Options, p profile) (*Server, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	binary, err := o.executable()
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, profile: p, binary: binary, identity: p.identity, port: p.port, dir: p.dir}
	if err := s.furnish(); err != nil {
		return nil, errors.Join(fmt.Errorf("redistest: %w", err), s.Close())
	}
	return s, nil
}

// furnish makes the directory, the certificates, the port and the
// configuration. The configuration is written this once: sentinels, and the
// servers that they command, keep their state in it.
func (s *Server) furnish() (err error) {
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "redistest-"); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(s.dataDir(), 0o700); err != nil {
		return err
	}
	if s.options.TLS && s.identity == nil {
		if s.identity, err = newIdentity(s.dir); err != nil {
			return err
		}
	}
	if s.port == nil {
		if s.port, err = reservePort(s.options.Port); err != nil {
			return err
		}
	}
	return os.WriteFile(s.configFile(), []byte(s.configuration()), 0o600)
}

func reservePort(number int) (*loopback.Port, error) {
	if number == 0 {
		return loopback.Reserve()
	}
	return loopback.ReserveAt(number)
}

// Addr returns the server's address, as host:port.
func (s *Server) Addr() string { return s.port.Addr() }

// URL returns the server's address with what is needed to log in, as
// redis://user:password@host:port, or rediss:// where it uses TLS.
func (s *Server) URL() string {
	return s.options.url(s.Addr()).String()
}

// url makes the address of one or more hosts.
func (o Options) url(hosts ...string) *url.URL {
	u := &url.URL{Scheme: "redis", Host: strings.Join(hosts, ",")}
	if o.TLS {
		u.Scheme = "rediss"
	}
	if o.Password != "" {
		u.User = url.UserPassword(o.Username, o.Password)
	}
	return u
}

// Log returns what the server has printed so far, over all its restarts.
func (s *Server) Log() string {
	log, err := os.ReadFile(s.logFile())
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	return string(log)
}

// Close ends the process and removes its files. It may be called more than
// once.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.process != nil {
		err = s.process.kill()
	}
	if s.port != nil {
		s.port.Release()
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// report shows the end of the log in a test that failed.
func (s *Server) report(tb testing.TB) {
	tb.Logf("the log of %s ends:\n%s", s.Addr(), tail(s.Log()))
}

func (s *Server) dataDir() string    { return filepath.Join(s.dir, "data") }
func (s *Server) configFile() string { return filepath.Join(s.dir, "redis.conf") }
func (s *Server) logFile() string    { return filepath.Join(s.dir, "redis.log") }

// closer is what a test cleans up.
type closer interface {
	Close() error
	report(tb testing.TB)
}

func closeAfter(tb testing.TB, c closer) {
	tb.Helper()
	tb.Cleanup(func() {
		if tb.Failed() {
			c.report(tb)
		}
		if err := c.Close(); err != nil {
			tb.Errorf("closing: %v", err)
		}
	})
}

// tail returns the last lines of a log.
func tail(log string) string {
	const keep = 20
	lines := strings.Split(strings.TrimSpace(log), "\n")
	return strings.Join(lines[max(0, len(lines)-keep):], "\n")
}
