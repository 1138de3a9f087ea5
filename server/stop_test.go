package server_test

import (
	"context"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"connectrpc.com/connect"

	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
	"github.com/perdure/perdure/proto/perdure/v1/perdurev1connect"
	"github.com/perdure/perdure/server"
)

// tellTale is a listener that asks for readiness when it is closed.
type tellTale struct {
	net.Listener
	handler http.Handler
	ready   atomic.Int32 // the last answer of /readyz before it closed
	closed  chan struct{}
}

func (l *tellTale) Close() error {
	if l.ready.CompareAndSwap(0, int32(ask(l.handler, "/readyz").Code)) {
		close(l.closed)
	}
	return l.Listener.Close()
}

// stopping is a server whose stop can be looked at.
type stopping struct {
	*tellTale
	stop   context.CancelFunc
	result chan error
}

func startStopping(t *testing.T, s *server.Server) *stopping {
	t.Helper()
	listener, err := server.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	x := &stopping{&tellTale{Listener: listener, handler: s.Handler(), closed: make(chan struct{})}, stop, make(chan error, 1)}
	go func() { x.result <- s.Serve(ctx, x.tellTale) }()
	return x
}

func (s *stopping) client() perdurev1connect.SessionServiceClient {
	return perdurev1connect.NewSessionServiceClient(h2c(), "http://"+s.Addr().String(), connect.WithGRPC())
}

// TestStop: readiness is red before the listener closes, a request under way is
// answered, and a stream ends with unavailable.
func TestStop(t *testing.T) {
	backend := newWaiting(t)
	store := newStore(t, backend)
	s := startStopping(t, server.New(store, server.Options{Drain: time.Millisecond}))
	stream, err := s.client().WatchSessions(t.Context(), &perdurev1.WatchSessionsRequest{})
	if err != nil || !stream.Receive() {
		t.Fatal(err, stream.Err())
	}
	answered := make(chan error, 1)
	go func() {
		_, err := s.client().GetSession(context.Background(), &perdurev1.GetSessionRequest{Id: "00AAAAAAAAAAAAAAAAAAAAAA"})
		answered <- err
	}()
	<-backend.entered
	s.stop()
	<-s.closed
	if code := s.ready.Load(); code != http.StatusServiceUnavailable {
		t.Errorf("readiness answered %d when the listener closed", code)
	}
	for stream.Receive() {
	}
	if err := stream.Err(); connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), "stopping") {
		t.Errorf("the stream ended with %v", err)
	}
	close(backend.release)
	if err := <-answered; connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("the request under way was answered with %v", err)
	}
	if err := <-s.result; err != nil {
		t.Errorf("Serve returned %v", err)
	}
}

// TestStopDoesNotWaitForEver: after Grace, requests are cut off.
func TestStopDoesNotWaitForEver(t *testing.T) {
	backend := newWaiting(t)
	store := newStore(t, backend)
	s := startStopping(t, server.New(store, server.Options{Drain: -1, Grace: time.Millisecond}))
	answered := make(chan error, 1)
	go func() {
		_, err := s.client().GetSession(context.Background(), &perdurev1.GetSessionRequest{Id: "00AAAAAAAAAAAAAAAAAAAAAA"})
		answered <- err
	}()
	<-backend.entered
	s.stop()
	if err := <-s.result; err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("Serve returned %v", err)
	}
	if err := <-answered; err == nil {
		t.Error("a request that was cut off was answered")
	}
}
