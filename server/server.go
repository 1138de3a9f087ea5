// Package server serves a perdure.Store to other languages and processes: gRPC,
// gRPC-Web and HTTP/JSON on one port, as proto/perdure/v1/session.proto says,
// with health for load balancers and orchestrators.
//
// It does not authenticate its callers, and so Listen refuses every address
// beyond loopback.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/perdure/perdure"
)

// Options are the settings of a Server. The zero value works.
type Options struct {
	// TTL is the life that RefreshSession gives where the caller names none; it
	// is meant to be that of the Store. Defaults to 24 hours.
	TTL time.Duration
	// MaxRequest bounds a request, in bytes after decompression. Defaults to
	// 1 MiB.
	MaxRequest int
	// Origins are the web origins ("https://app.example.com") whose pages may
	// call, besides those of this machine. Defaults to none.
	Origins []string
	// Drain is how long readiness is red before a stop closes the listener, so
	// that load balancers notice. Defaults to 300 ms; negative is not at all.
	Drain time.Duration
	// Grace is how long a stop waits for requests under way; then they are cut
	// off. Defaults to 10 seconds.
	Grace time.Duration
	// Logger hears of failures, and at debug level of every request. It is given
	// ids, never payloads. Defaults to none.
	Logger *slog.Logger
}

const (
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 64 << 10
)

func (o Options) withDefaults() Options {
	setDefault(&o.TTL, 24*time.Hour)
	setDefault(&o.MaxRequest, 1<<20)
	setDefault(&o.Drain, 300*time.Millisecond)
	setDefault(&o.Grace, 10*time.Second)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Server serves one Store, which stays its owner's to close. Make one with New.
type Server struct {
	store    *perdure.Store
	options  Options
	handler  http.Handler
	failures *failures

	// draining ends when a stop begins, and stopping when the listener closes:
	// streams then end too.
	draining, stopping context.Context
	drain, stop        context.CancelFunc
}

// New makes a Server of the store.
func New(store *perdure.Store, options Options) *Server {
	s := &Server{store: store, options: options.withDefaults()}
	s.draining, s.drain = context.WithCancel(context.Background())
	s.stopping, s.stop = context.WithCancel(context.Background())
	s.failures = newFailures(s.options.Logger, failureInterval)
	s.handler = s.routes()
	return s
}

// Handler serves all paths of the server, for one who brings an http.Server of
// their own.
func (s *Server) Handler() http.Handler { return s.handler }

// Serve serves on the listener until ctx ends, then stops: readiness turns red
// and stays so for Options.Drain, then the listener closes, streams end, and
// requests under way have Options.Grace to finish. It returns nil after a clean
// stop. It may be called once.
func (s *Server) Serve(ctx context.Context, listener net.Listener) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{
		Handler:           s.handler,
		Protocols:         protocols,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.options.Logger.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	s.drain()
	if s.options.Drain > 0 {
		s.options.Logger.Info("stopping: readiness is red, requests are still taken", "for", s.options.Drain.String())
		select {
		case err := <-failed:
			return fmt.Errorf("serving on %s: %w", listener.Addr(), err)
		case <-time.After(s.options.Drain):
		}
	}
	s.stop()
	return s.shutdown(server)
}

func (s *Server) shutdown(server *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.options.Grace)
	defer cancel()
	err := server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		server.Close()
		return fmt.Errorf("requests were still under way after %v and were cut off", s.options.Grace)
	}
	return err
}
