package factory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
	"github.com/perdure/perdure/backend/remote"
)

const (
	daemonTimeout = 10 * time.Second // for a call of a daemon that has no deadline of its own
	lookTimeout   = 3 * time.Second  // to find out whether there is one
)

// IsDaemon reports whether an address is that of a daemon.
func IsDaemon(address string) bool {
	return strings.HasPrefix(address, "http://") || strings.HasPrefix(address, "https://")
}

func openDaemon(ctx context.Context, address string) (perdure.Backend, error) {
	b, err := remote.Open(ctx, remote.Options{URL: address, Timeout: daemonTimeout})
	switch {
	case errors.Is(err, perdure.ErrInvalid):
		return nil, &AddressError{"is not that of a daemon"}
	case err != nil:
		return nil, err
	}
	return b, nil
}

// openFileHeld opens the embedded store in a directory, through its daemon where it can
// not be opened by another process, or by this user.
func (c *Config) openFileHeld(ctx context.Context, address, dir string, logger *slog.Logger) (perdure.Backend, error) {
	b, err := c.openLocal(dir, -1, logger)
	switch {
	case err == nil:
		c.warnOfDaemon(ctx, address, logger)
		return b, nil
	case !errors.Is(err, local.ErrLocked) && !errors.Is(err, fs.ErrPermission):
		return nil, err
	}
	held, lost := c.openHeld(ctx, address)
	if lost == nil {
		return held, nil
	}
	if b, err = c.openLocal(dir, 0, logger); err != nil { // it may be a tool that has it, for a moment
		return nil, fmt.Errorf("%w\nnor through the daemon at %s: %w", err, c.AdminListen, lost)
	}
	return b, nil
}

// openMemoryHeld opens the store that a daemon has in its memory alone.
func (c *Config) openMemoryHeld(ctx context.Context) (perdure.Backend, error) {
	b, err := c.openHeld(ctx, memoryAddress)
	if err != nil {
		return nil, fmt.Errorf("the store is in the memory of another process: %w", err)
	}
	return b, nil
}

// openHeld opens the embedded store at an address through the admin port of the daemon
// that holds it. It returns an ErrUnavailable where no daemon there does.
func (c *Config) openHeld(ctx context.Context, address string) (perdure.Backend, error) {
	at, err := c.daemonKeeps(ctx)
	if err != nil {
		return nil, err
	}
	if _, shown := describe(address); !samePlace(at, shown) {
		return nil, fmt.Errorf("%w: the daemon at %s keeps its sessions at %s", perdure.ErrUnavailable, c.AdminListen, at)
	}
	return openDaemon(ctx, "http://"+c.AdminListen)
}

// warnOfDaemon says that the embedded store at an address, which nobody holds, is not
// where the daemon of the same settings keeps its sessions: it was switched.
func (c *Config) warnOfDaemon(ctx context.Context, address string, logger *slog.Logger) {
	own, err := c.Address()
	_, shown := describe(address)
	if _, expected := describe(own); err != nil || shown != expected {
		return // who names another store knows what he does
	}
	if at, err := c.daemonKeeps(ctx); err == nil && !samePlace(at, shown) {
		logger.Warn("the daemon keeps its sessions elsewhere: give that address, or its admin port, as the store",
			"daemon", "http://"+c.AdminListen, "sessions", at, "this", shown)
	}
}

// samePlace reports whether two addresses, without secrets, are one: a data directory
// has many names.
func samePlace(a, b string) bool {
	if a == b {
		return true
	}
	one, isFile := DataDirOf(a)
	other, areFiles := DataDirOf(b)
	if !isFile || !areFiles {
		return false
	}
	first, err := os.Stat(one)
	if err != nil {
		return false
	}
	second, err := os.Stat(other)
	return err == nil && os.SameFile(first, second)
}

// daemonKeeps is where the daemon at the admin port says that it keeps its sessions.
func (c *Config) daemonKeeps(ctx context.Context) (address string, err error) {
	if c.AdminListen == AdminNone {
		return "", fmt.Errorf("%w: PERDURE_ADMIN_LISTEN is %s", perdure.ErrUnavailable, AdminNone)
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.AdminListen+"/healthz", nil)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return "", fmt.Errorf("%w: %w", perdure.ErrUnavailable, err)
	}
	defer response.Body.Close()
	var health InstanceHealth
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&health); err != nil || health.Address == "" {
		return "", fmt.Errorf("%w: %s is not the admin port of a daemon", perdure.ErrUnavailable, c.AdminListen)
	}
	return health.Address, nil
}
