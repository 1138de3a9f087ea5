package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/backend/redis"
	"github.com/perdure/perdure/factory"
	"github.com/perdure/perdure/internal/printable"
	"github.com/perdure/perdure/server"
)

func (a *app) serve() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Serve sessions by gRPC, gRPC-Web and HTTP/JSON",
		Long: `Serve sessions by gRPC, gRPC-Web and HTTP/JSON on one port, until it is told
to stop by SIGINT, SIGTERM or SIGHUP. A second signal ends it at once.

It does not authenticate its callers and refuses to listen beyond loopback.

` + environmentText(),
		Example: `  perdure serve
  REDIS_URL=redis://127.0.0.1:6379 perdure serve
  PERDURE_DATA_DIR=none PERDURE_LISTEN=127.0.0.1:9000 perdure serve`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.runServe(c.Context()) },
	}
	a.jsonFlag(c)
	return c
}

func (a *app) runServe(ctx context.Context) (err error) {
	// A log whose reader has gone must not end the daemon: writing fails instead.
	signal.Ignore(syscall.SIGPIPE)
	defer signal.Reset(syscall.SIGPIPE)
	config, notes, err := a.config()
	if err != nil {
		return err
	}
	logger := newLogger(a.stderr, config)
	for _, note := range notes {
		logger.Warn(note)
	}
	listener, err := server.Listen(ctx, config.Listen)
	if err != nil {
		return cannotListen("PERDURE_LISTEN", err)
	}
	defer listener.Close()
	instance, err := factory.Open(ctx, config, logger)
	if err != nil && config.NoFallback && !a.held(err) && errors.Is(err, perdure.ErrUnavailable) {
		err = fmt.Errorf("%w\nto start without Redis, set REDIS_FALLBACK_ENABLED=true: what is written meanwhile is merged when Redis is back", err)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, instance.Close()) }()
	warn(ctx, instance, logger)
	stop, admin, err := a.serveAdmin(ctx, config, instance, logger)
	if err != nil {
		return err
	}
	defer stop()
	s := server.New(instance.Store, server.Options{
		TTL: config.TTL, MaxRequest: maxRequest(config), Origins: config.Origins, Drain: config.Drain, Logger: logger,
	})
	up, note := announcementOf(ctx, instance, config.Outage, listener.Addr())
	up.Admin = admin
	if err := a.announce(up, note); err != nil {
		return err
	}
	if err := s.Serve(ctx, listener); err != nil {
		return err
	}
	logger.Info("stopped: no request is under way any more")
	return nil
}

// cannotListen names the setting, and says what to do where the port is taken.
func cannotListen(setting string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%s: %w; stop what listens there, or set %s to another port", setting, err, setting)
	}
	return fmt.Errorf("%s: %w", setting, err)
}

// warn logs what is wrong with the set-up of the store.
func warn(ctx context.Context, i *factory.Instance, logger *slog.Logger) {
	findings, err := perdure.Inspect(ctx, i.Backend())
	if err != nil {
		logger.Warn("the set-up of the store could not be looked at; see perdure doctor", "error", err)
	}
	for _, f := range findings {
		level := slog.LevelWarn
		switch f.Severity {
		case perdure.SeverityError:
			level = slog.LevelError
		case perdure.SeverityOK, perdure.SeverityInfo:
			level = slog.LevelDebug
		}
		logger.Log(ctx, level, f.Name+": "+f.Found, "advice", f.Advice)
	}
}

// maxRequest leaves room for the largest metadata, escaped and indented.
func maxRequest(c factory.Config) int { return max(1<<20, 4*int(c.MaxMetadata)) }

// announcement is what serve prints when it is up.
type announcement struct {
	Version string `json:"version"`
	Listen  string `json:"listen"` // host:port
	Kind    string `json:"kind"`   // of the store: redis, file or memory
	Store   string `json:"store"`  // its address, without secrets
	Why     string `json:"why"`    // this store
	// State is that of failover, where there is one: "healthy", "degraded", …
	State string `json:"state,omitempty"`
	Admin string `json:"admin,omitempty"` // host:port of the admin port
}

// serveAdmin opens the admin port, and returns its address. The one that is there
// unasked is done without where something else listens on it.
func (a *app) serveAdmin(ctx context.Context, c factory.Config, i *factory.Instance, logger *slog.Logger) (stop func(), address string, err error) {
	if c.AdminListen == factory.AdminNone {
		return func() {}, "", nil
	}
	listener, err := server.Listen(ctx, c.AdminListen)
	if err != nil && c.AdminListen == factory.DefaultAdminListen {
		logger.Info("there is no admin port: something else listens on it", "address", c.AdminListen, "advice", "set PERDURE_ADMIN_LISTEN")
		return func() {}, "", nil
	}
	if err != nil {
		return nil, "", cannotListen("PERDURE_ADMIN_LISTEN", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.NewAdmin(i, logger).Serve(ctx, listener); err != nil {
			logger.Error("the admin port has failed", "error", err)
		}
	})
	return func() { cancel(); serving.Wait() }, listener.Addr().String(), nil
}

// announcement is what there is to tell of an instance, and a note for a reader.
func announcementOf(ctx context.Context, i *factory.Instance, policy failover.Outage, addr net.Addr) (up announcement, note string) {
	up = announcement{Version: readBuild().Version, Listen: addr.String(), Kind: i.Kind(), Store: i.Address(), Why: i.Why()}
	if i.Kind() == "redis" {
		health, fails := i.Failover(ctx)
		up.State, note = string(health.State), outlook(health, policy, fails)
	}
	return up, note
}

func (a *app) announce(up announcement, note string) error {
	if a.json {
		return json.NewEncoder(a.stdout).Encode(up)
	}
	text := fmt.Sprintf(`perdure %s listens on http://%s (gRPC, gRPC-Web, HTTP/JSON)
store: %s
why:   %s
try:   curl -H 'Content-Type: application/json' -d '{"userId":"ada"}' http://%s/perdure.v1.SessionService/CreateSession
`, up.Version, up.Listen, up.Store, up.Why, up.Listen)
	if up.Admin != "" {
		text += "admin: http://" + up.Admin + " (perdure list, backup, switch, …)\n"
	}
	_, err := fmt.Fprint(a.stdout, text+note)
	return err
}

// outlook says what becomes of sessions when Redis goes away, or now that it is.
func outlook(h failover.Health, policy failover.Outage, fails bool) string {
	switch {
	case !fails:
		return "note:  REDIS_FALLBACK_ENABLED is false: while Redis is away, calls answer unavailable\n"
	case h.JournalError != "" && h.Redis.Available:
		return "note:  the journal takes no writes (" + printable.Text(h.JournalError) + "): if Redis goes away now, logins answer unavailable\n"
	case !h.Redis.Available && strings.Contains(h.Reason, redis.Misfit):
		return "note:  Redis answers, and a setting does not fit it (" + printable.Text(h.Reason) + "): " + present(h, policy) + "\n"
	case !h.Redis.Available:
		return "note:  Redis is away (" + printable.Text(h.Reason) + "): " + present(h, policy) + "\n"
	case policy == failover.OutageRefuse:
		return "note:  PERDURE_OUTAGE is refuse: while Redis is away, calls answer unavailable\n"
	case policy == failover.OutageReadOnly:
		return "note:  PERDURE_OUTAGE is read-only: while Redis is away, sessions are read from here, and writes answer unavailable\n"
	case !h.JournalDurable:
		return "note:  what is written while Redis is away is in memory alone: set PERDURE_DATA_DIR\n"
	}
	return "note:  while Redis is away, sessions are served from here, and what is written is merged when Redis is back\n"
}

// present is what becomes of sessions now that Redis is away.
func present(h failover.Health, policy failover.Outage) string {
	text := "sessions are served from here, and what is written is merged when Redis is back"
	switch {
	case policy == failover.OutageRefuse:
		text = "calls answer unavailable until Redis is back (PERDURE_OUTAGE is refuse)"
	case policy == failover.OutageReadOnly:
		text = "sessions are read from here, and writes answer unavailable until Redis is back (PERDURE_OUTAGE is read-only)"
	case h.JournalError != "":
		text = "sessions are read from here, and logins answer unavailable, since the journal takes no writes (" + printable.Text(h.JournalError) + ")"
	}
	if h.HeldBack > 0 {
		text += fmt.Sprintf("; what was kept before this start is held back until then, %d sessions: this daemon was down for longer than PERDURE_OUTAGE_MAX_DOWNTIME allows", h.HeldBack)
	}
	return text
}
