package factory

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/remote"
)

// daemonTimeout bounds a call of a daemon that has no deadline of its own.
const daemonTimeout = 10 * time.Second

// isDaemon reports whether an address is that of a daemon.
func isDaemon(address string) bool {
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

// openHeld opens the embedded store at an address through the admin port of the daemon
// that holds it. It returns an ErrUnavailable where no daemon there does.
func (c *Config) openHeld(ctx context.Context, address string) (perdure.Backend, error) {
	if c.AdminListen == AdminNone {
		return nil, fmt.Errorf("%w: PERDURE_ADMIN_LISTEN is %s", perdure.ErrUnavailable, AdminNone)
	}
	admin := "http://" + c.AdminListen
	held, err := heldAt(ctx, admin)
	if err != nil {
		return nil, err
	}
	if _, shown := describe(address); held != shown {
		return nil, fmt.Errorf("%w: the daemon at %s holds another store", perdure.ErrUnavailable, admin)
	}
	return openDaemon(ctx, admin)
}

// heldAt is where the daemon at an admin port says that it keeps its sessions.
func heldAt(ctx context.Context, admin string) (address string, err error) {
	ctx, cancel := context.WithTimeout(ctx, daemonTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, admin+"/healthz", nil)
	if err != nil {
		return "", err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", fmt.Errorf("%w: %w", perdure.ErrUnavailable, err)
	}
	defer response.Body.Close()
	var health InstanceHealth
	if err := json.NewDecoder(http.MaxBytesReader(nil, response.Body, 1<<20)).Decode(&health); err != nil {
		return "", fmt.Errorf("%w: %s is not the admin port of a daemon", perdure.ErrUnavailable, admin)
	}
	return health.Address, nil
}
