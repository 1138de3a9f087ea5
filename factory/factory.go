// Package factory turns configuration into assembled stores: it reads it from
// the environment, checks it, picks the backend and puts the Store on top.
package factory

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/backend/local"
)

// Instance is an assembled store, and what to tell about it. It is safe for
// concurrent use.
type Instance struct {
	*perdure.Store
	relay  *relay
	config Config
	logger *slog.Logger

	mu    sync.Mutex
	place place
	left  []string // the addresses that it was switched from, without secrets

	switching sync.Mutex // one switch at a time
}

// place is where an instance keeps its sessions.
type place struct {
	address string // as OpenBackend takes it; it may hold a password
	why     string
}

// Kind is "redis", "file" or "memory"; "daemon" where only the address of that is
// known.
func (i *Instance) Kind() string {
	kind, _ := describe(i.at().address)
	return kind
}

// Address is where it keeps its sessions, without secrets:
// "redis://10.0.0.1:6379", "file:/var/lib/perdure", "memory:".
func (i *Instance) Address() string {
	_, shown := describe(i.at().address)
	return shown
}

// Why says what decided for this store.
func (i *Instance) Why() string { return i.at().why }

func (i *Instance) at() place {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.place
}

// Failover is how the store fails over, and whether it does.
func (i *Instance) Failover(ctx context.Context) (failover.Health, bool) {
	f, ok := perdure.As[*failover.Backend](i.Backend())
	if !ok {
		return failover.Health{}, false
	}
	return f.Health(ctx), true
}

// Open assembles the store that the configuration asks for. It returns a
// *ConfigError for each setting that is wrong, joined, and an ErrUnavailable
// where the store cannot be reached; but on Redis, unless Config.NoFallback is
// set, that is an outage like any other, and the store begins in it. A Redis that
// answers, and that the settings do not fit, is a perdure.ErrInvalid, unless a journal
// waits to be merged.
func Open(ctx context.Context, c Config, logger *slog.Logger) (*Instance, error) {
	c = c.withDefaults()
	if err := c.check(nil); err != nil {
		return nil, err
	}
	address, source, why, err := c.choose()
	if err != nil {
		return nil, err
	}
	logger = orDiscard(logger)
	c.settings = true
	backend, err := c.openServing(ctx, address, false, logger)
	if err != nil && source != "" {
		return nil, c.advise(source, err)
	}
	if err != nil {
		return nil, err
	}
	return assemble(backend, address, why, c, logger)
}

// OpenAddress assembles a store at an address, as OpenBackend takes it. It has no
// failover.
func OpenAddress(ctx context.Context, address string, c Config, logger *slog.Logger) (*Instance, error) {
	c, address = c.withDefaults(), strings.TrimSpace(address)
	if err := c.check(nil); err != nil {
		return nil, err
	}
	logger = orDiscard(logger)
	backend, err := OpenBackend(ctx, address, c, logger)
	if err != nil {
		return nil, err
	}
	return assemble(backend, address, "the address was given", c, logger)
}

// openServing opens a backend to serve sessions from: Redis with failover, unless
// that is turned off, or on standby until there is something to serve.
func (c *Config) openServing(ctx context.Context, address string, standby bool, logger *slog.Logger) (perdure.Backend, error) {
	switch {
	case IsDaemon(address):
		return nil, &AddressError{"is that of a daemon, which has its own store: give that one"}
	case isRedis(address) && !c.NoFallback:
		return c.openFailover(ctx, address, standby, logger)
	}
	return OpenBackend(ctx, address, *c, logger)
}

// assemble puts a Store on a backend.
func assemble(backend perdure.Backend, address, why string, c Config, logger *slog.Logger) (*Instance, error) {
	relay := newRelay(backend, address)
	store, err := perdure.New(relay, perdure.Options{
		TTL: c.TTL, MaxTTL: c.MaxTTL, Horizon: c.Horizon, IdleTimeout: c.IdleTimeout,
		MaxMetadata: int(c.MaxMetadata), SweepInterval: c.SweepInterval, Logger: logger,
	})
	if err != nil {
		backend.Close()
		return nil, err
	}
	return &Instance{Store: store, relay: relay, config: c, logger: logger, place: place{address, why}}, nil
}

// choose is the address of the store that the settings ask for, the setting that
// it comes from, if any, and why it was chosen.
func (c *Config) choose() (address, source, why string, err error) {
	url, source, err := c.redisURL()
	if err != nil {
		return "", "", "", err
	}
	if c.Type == Redis || c.Type == Auto && url != "" {
		return url, source, fmt.Sprintf("SESSION_STORE_TYPE is %s and %s is set", c.Type, source), nil
	}
	why = "SESSION_STORE_TYPE is memory"
	if c.Type == Auto {
		why = "SESSION_STORE_TYPE is auto and REDIS_URL is not set"
	}
	if c.DataDir == DataDirNone {
		return memoryAddress, "", why + "; PERDURE_DATA_DIR is none: sessions are in memory alone", nil
	}
	return fileScheme + c.DataDir, "PERDURE_DATA_DIR", why, nil
}

// Address is the address of the store that the settings ask for, as OpenBackend
// takes it. It may hold a password. It returns a *ConfigError where the file in
// RedisURLFile cannot be read.
func (c Config) Address() (string, error) {
	c = c.withDefaults()
	address, _, _, err := c.choose()
	return address, err
}

func orDiscard(logger *slog.Logger) *slog.Logger {
	if logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return logger
}

func (c *Config) openLocal(dir string, wait time.Duration, logger *slog.Logger) (perdure.Backend, error) {
	if dir != "" {
		absolute, err := filepath.Abs(dir)
		if err != nil {
			return nil, fmt.Errorf("data directory %q: %w", dir, err)
		}
		dir = absolute
	}
	return local.Open(local.Options{
		Dir: dir, MaxBytes: c.MaxMemory, MaxClockSkew: c.MaxClockSkew, FeedLength: c.FeedLength, LockWait: wait, Logger: logger,
	})
}
