package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/remote"
	"github.com/perdure/perdure/factory"
	"github.com/perdure/perdure/migrate"
)

// Admin serves the operator of an instance, on a port of its own:
//
//	GET  /healthz   the health of the instance, a factory.InstanceHealth
//	POST /switch    a SwitchRequest; answers with SwitchEvents, a line each
//	POST /perdure.v1.BackendService/…   the store itself: see package remote
//
// Like Server it does not authenticate its callers and belongs on loopback. It
// takes no call from a web page.
type Admin struct {
	instance *factory.Instance
	logger   *slog.Logger
}

// NewAdmin makes an Admin of an instance, which stays its owner's to close. A nil
// logger is none.
func NewAdmin(instance *factory.Instance, logger *slog.Logger) *Admin {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	return &Admin{instance: instance, logger: logger}
}

// SwitchRequest asks for a live switch of the store.
type SwitchRequest struct {
	To    string `json:"to"`              // an address, as factory.OpenBackend takes it
	Empty bool   `json:"empty,omitempty"` // leave the sessions behind
	// DespiteOthers switches although other processes use the present store.
	DespiteOthers bool `json:"despiteOthers,omitempty"`
}

// SwitchEvent is a line of the answer: progress, and at the end one of Switched
// and Error.
type SwitchEvent struct {
	Progress *SwitchProgress `json:"progress,omitempty"`
	Switched *SwitchResult   `json:"switched,omitempty"`
	Error    string          `json:"error,omitempty"`
	// Code says what kind of error it is: "invalid", "unavailable" or "failed".
	Code string `json:"code,omitempty"`
}

// SwitchProgress is how far a switch is.
type SwitchProgress struct {
	Phase    string  `json:"phase"`
	Done     int64   `json:"done"`
	Expected int64   `json:"expected,omitempty"`
	Rate     float64 `json:"rate"`        // sessions a second
	Left     float64 `json:"leftSeconds"` // about; 0 where nobody knows
}

// SwitchResult is what a switch has done.
type SwitchResult struct {
	From     string  `json:"from"`
	To       string  `json:"to"`
	Migrated int64   `json:"migrated"`
	Ended    int64   `json:"ended"` // the target knew them to be over
	Rounds   int     `json:"rounds"`
	Pause    float64 `json:"pauseSeconds"` // for which writes were held
}

// maxSwitchRequest bounds a SwitchRequest, in bytes.
const maxSwitchRequest = 16 << 10

// Serve answers on the listener until the context ends.
func (a *Admin) Serve(ctx context.Context, listener net.Listener) error {
	server := &http.Server{Handler: a.handler(), ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout,
		BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (a *Admin) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", a.health)
	mux.HandleFunc("POST /switch", a.switchStore)
	mux.Handle(remote.NewHandler(a.instance.Backend()))
	return boundBody(bodyTimeout, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Origin") != "" {
			http.Error(w, "web pages may not call", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	}))
}

func (a *Admin) health(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), pingTimeout)
	defer cancel()
	h, status := a.instance.Health(ctx), http.StatusOK
	if h.Condition == factory.ConditionUnhealthy {
		status = http.StatusServiceUnavailable
	}
	writeHealth(w, status, h)
}

func (a *Admin) switchStore(w http.ResponseWriter, r *http.Request) {
	kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if kind != "application/json" {
		http.Error(w, "send JSON with its content type: application/json", http.StatusUnsupportedMediaType)
		return
	}
	var request SwitchRequest
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxSwitchRequest))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&request); err != nil || request.To == "" {
		http.Error(w, `want {"to":"ADDRESS"}, and "empty":true to leave the sessions behind`, http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	events := json.NewEncoder(w)
	tell := func(e SwitchEvent) {
		_ = events.Encode(e) // who has left does not hear of it
		_ = http.NewResponseController(w).Flush()
	}
	// A switch that has begun is not given up because who asked for it has left.
	ctx := context.WithoutCancel(r.Context())
	done, err := a.instance.Switch(ctx, request.To, factory.SwitchOptions{Empty: request.Empty, DespiteOthers: request.DespiteOthers, Migrate: migrate.Options{
		Reading: migrate.Reading{Progress: func(p migrate.Progress) { tell(SwitchEvent{Progress: progressOf(p)}) }, ProgressInterval: 250 * time.Millisecond},
	}})
	if err != nil {
		a.logger.Error("the store was not switched", "to", done.To, "error", err)
		tell(SwitchEvent{Error: err.Error(), Code: codeOf(err)})
		return
	}
	tell(SwitchEvent{Switched: &SwitchResult{
		From: done.From, To: done.To, Migrated: done.Moved.Migrated, Ended: done.Moved.Ended, Rounds: done.Moved.Rounds, Pause: done.Pause.Seconds(),
	}})
}

func progressOf(p migrate.Progress) *SwitchProgress {
	return &SwitchProgress{Phase: string(p.Phase), Done: p.Done, Expected: p.Expected, Rate: p.Rate(), Left: p.Left().Seconds()}
}

func codeOf(err error) string {
	var address *factory.AddressError
	var setting *factory.ConfigError
	switch {
	case errors.Is(err, perdure.ErrInvalid), errors.As(err, &address), errors.As(err, &setting):
		return "invalid"
	case errors.Is(err, perdure.ErrUnavailable):
		return "unavailable"
	}
	return "failed"
}
