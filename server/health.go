package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/proto/perdure/v1/perdurev1connect"
)

const (
	// pingTimeout bounds a look at the store: shorter than the second that
	// orchestrators give a probe.
	pingTimeout = 800 * time.Millisecond
	// watchInterval is how often a watcher of health is told of a change.
	watchInterval = 5 * time.Second
)

// check is one line of readiness.
type check struct {
	name string
	err  error
	took time.Duration
}

// checks looks at all that readiness needs.
func (s *Server) checks(ctx context.Context) []check {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	serving := check{name: "serving"}
	if s.draining.Err() != nil {
		serving.err = errors.New("stopping")
	}
	start := time.Now()
	store := check{name: "store", err: s.store.Ping(ctx)}
	store.took = time.Since(start)
	if store.err != nil {
		s.options.Logger.WarnContext(ctx, "not ready", "check", store.name, "error", store.err)
		store.err = errors.New("a login or a logout would fail now; the server's log says why")
	}
	return []check{serving, store}
}

// failover is the health of a store that fails over, if it is one.
func (s *Server) failover(ctx context.Context) (failover.Health, bool) {
	f, ok := perdure.As[*failover.Backend](s.store.Backend())
	if !ok {
		return failover.Health{}, false
	}
	return f.Health(ctx), true
}

// outline is a line about failover. An error text may name hosts: it stays in
// the log.
func outline(h failover.Health) string {
	mark := "[+]"
	if h.State != failover.Healthy || h.JournalError != "" || h.Waiting != "" || len(h.Kept) > 0 {
		mark = "[!]"
	}
	line := fmt.Sprintf("%s redis %s since %s; %s mirror: %d sessions, %v old", mark, h.State, h.Since.UTC().Format(time.RFC3339),
		h.Mirror, h.MirrorRecords, time.Duration(h.MirrorAge)*time.Millisecond)
	if n := h.PartitionsAway; n > 0 && n < perdure.Partitions {
		line += fmt.Sprintf("; %d of %d partitions are away, the others are served by redis", n, perdure.Partitions)
	}
	if h.JournalDepth > 0 {
		line += fmt.Sprintf("; journal: %s for %v", counted(h.JournalDepth, "record waits,", "records wait, the first"), time.Duration(h.JournalOldest)*time.Millisecond)
	}
	if h.HeldBack > 0 {
		line += "; " + counted(h.HeldBack, "session that was kept is", "sessions that were kept are") + " held back until redis is back (PERDURE_OUTAGE_MAX_DOWNTIME)"
	}
	if h.Waiting != "" {
		line += "; " + h.Waiting
	}
	if h.State == failover.ReadOnly || h.JournalError != "" {
		line += "; the journal takes no writes: see journalError in /healthz"
	} else if !h.JournalDurable {
		line += "; what is written in an outage is not on disk"
	}
	if n := len(h.Kept); n > 0 {
		line += "; " + counted(int64(n), "journal in the data directory is", "journals in the data directory are") + " kept aside: see journalsKept in /healthz"
	}
	if h.Refused > 0 {
		line += "; " + counted(h.Refused, "record is", "records are") + " refused by redis"
	}
	if h.Lost > 0 {
		line += "; " + counted(h.Lost, "record that redis had lost was", "records that redis had lost were") + " given back so far"
	}
	return line
}

func counted(n int64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// plainHealth is that of a store that does not fail over, by the field that one which
// does has too.
type plainHealth struct {
	State   string `json:"state"` // healthy or unhealthy
	Backend string `json:"backend,omitempty"`
}

// healthz answers with the health of the store as JSON: that of failover, or without
// it whether the store takes writes, and 503 where it does not.
func (s *Server) healthz(w http.ResponseWriter, r *http.Request) {
	if health, ok := s.failover(r.Context()); ok {
		writeHealth(w, http.StatusOK, health)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), pingTimeout)
	defer cancel()
	health, status := plainHealth{State: "healthy"}, http.StatusOK
	if stats, err := s.store.Stats(ctx); err == nil {
		health.Backend = stats.Backend
	}
	if err := s.store.Ping(ctx); err != nil {
		s.options.Logger.WarnContext(ctx, "not healthy", "error", err)
		health.State, status = "unhealthy", http.StatusServiceUnavailable
	}
	writeHealth(w, status, health)
}

// writeHealth answers with a health as JSON, which nobody is to keep.
func writeHealth(w http.ResponseWriter, status int, health any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(health) // who has left does not read it
}

// livez answers while the process does.
func (s *Server) livez(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") }

// readyz answers 200 when a request would be served now, and 503 when not. With
// ?verbose it lists the checks.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	checks := s.checks(r.Context())
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	verdict := "ok"
	for _, c := range checks {
		if c.err != nil {
			verdict = "not ready"
		}
	}
	if verdict != "ok" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	if r.URL.Query().Has("verbose") {
		for _, c := range checks {
			fmt.Fprintln(w, c)
		}
		if health, ok := s.failover(r.Context()); ok {
			fmt.Fprintln(w, outline(health))
		}
	}
	fmt.Fprintln(w, verdict)
}

func (c check) String() string {
	line := "[+] " + c.name + " ok"
	if c.err != nil {
		line = "[-] " + c.name + " failed: " + c.err.Error()
	}
	if c.took > 0 {
		line += fmt.Sprintf(" (%v)", c.took.Round(time.Microsecond))
	}
	return line
}

// checker is readiness for grpc.health.v1.
type checker struct{ *Server }

var _ grpchealth.Watcher = checker{}

// Check answers for the server as a whole and for the session service.
func (c checker) Check(ctx context.Context, request *grpchealth.CheckRequest) (*grpchealth.CheckResponse, error) {
	switch request.Service {
	case "", perdurev1connect.SessionServiceName:
	default:
		return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("there is no service %q here", request.Service))
	}
	for _, check := range c.checks(ctx) {
		if check.err != nil {
			return &grpchealth.CheckResponse{Status: grpchealth.StatusNotServing}, nil
		}
	}
	return &grpchealth.CheckResponse{Status: grpchealth.StatusServing}, nil
}

// Watch has a watcher look again at intervals, and at once when a stop begins.
func (c checker) Watch(_ context.Context, _ *grpchealth.CheckRequest, onChange func()) (func(), error) {
	forget := context.AfterFunc(c.draining, onChange)
	ticker := time.NewTicker(watchInterval)
	done := make(chan struct{})
	go func() {
		defer ticker.Stop()
		for {
			select {
			case <-done:
				return
			case <-ticker.C:
				onChange()
			}
		}
	}()
	return func() { forget(); close(done) }, nil
}
