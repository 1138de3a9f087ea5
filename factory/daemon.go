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
	"slices"
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

// ErrOtherDaemon says that the daemon at the admin port, Config.AdminListen, has another
// store than the one asked for. It is a perdure.ErrUnavailable.
var ErrOtherDaemon = fmt.Errorf("%w: the daemon is another's", perdure.ErrUnavailable)

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
	case err == nil && c.settings:
		if err := c.abandoned(ctx, address); err != nil {
			return nil, errors.Join(err, b.Close())
		}
		return b, nil
	case err == nil:
		return b, nil // who names it knows what he does
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
	h, err := c.daemonHealth(ctx)
	if err != nil {
		return nil, err
	}
	if _, shown := describe(address); !samePlace(h.Address, shown) {
		return nil, fmt.Errorf("%w: that at %s keeps its sessions at %s", ErrOtherDaemon, c.AdminListen, h.Address)
	}
	return openDaemon(ctx, "http://"+c.AdminListen)
}

// abandoned returns an error for the embedded store at an address, which nobody holds, if
// the daemon at the admin port has left it: it was switched, and what is done to the file
// is done to nobody's session.
func (c *Config) abandoned(ctx context.Context, address string) error {
	h, err := c.daemonHealth(ctx)
	if err != nil {
		return nil // there is no daemon
	}
	_, shown := describe(address)
	left := slices.ContainsFunc(h.SwitchedFrom, func(from string) bool { return samePlace(from, shown) })
	if !left || samePlace(h.Address, shown) {
		return nil
	}
	return fmt.Errorf("the sessions are not in %s any more: the daemon at %s was switched to %s; give --store http://%s, "+
		"and change the environment to where they are (--store %s is what was left)", shown, c.AdminListen, h.Address, c.AdminListen, shown)
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

// daemonHealth is what the daemon at the admin port says of itself.
func (c *Config) daemonHealth(ctx context.Context) (health InstanceHealth, err error) {
	if c.AdminListen == AdminNone {
		return health, fmt.Errorf("%w: PERDURE_ADMIN_LISTEN is %s", perdure.ErrUnavailable, AdminNone)
	}
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.AdminListen+"/healthz", nil)
	if err != nil {
		return health, err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return health, fmt.Errorf("%w: %w", perdure.ErrUnavailable, err)
	}
	defer response.Body.Close()
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&health); err != nil || health.Address == "" {
		return health, fmt.Errorf("%w: %s is not the admin port of a daemon", perdure.ErrUnavailable, c.AdminListen)
	}
	return health, nil
}
