package factory

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/migrate"
)

// SwitchOptions say how to switch. The zero value works: it takes the sessions
// along.
type SwitchOptions struct {
	// Empty leaves the sessions behind: everybody has to log in again. Defaults to
	// taking them along.
	Empty bool
	// DespiteOthers switches although other processes go on using the store: a logout
	// there has no effect here any more, nor one here there. Defaults to refusing.
	DespiteOthers bool
	// Migrate is how they are moved.
	Migrate migrate.Options
}

// Switched is what a switch has done.
type Switched struct {
	From string `json:"from"` // without secrets
	To   string `json:"to"`
	// Moved is what became of the sessions; the zero value where they were left
	// behind.
	Moved migrate.LiveResult `json:"moved"`
	// Pause is how long writes were held. Reads went on.
	Pause time.Duration `json:"-"`
}

// Switch has the instance keep its sessions at another address, as OpenBackend
// takes it, while it is in use: handles that callers hold go on working, no call
// fails, and writes wait for a moment at the cut-over. The sessions are moved by
// migrate.Live, and a session that is logged out meanwhile stays so. A switch that
// fails leaves everything where it was.
//
// A watcher is told of a gap in the feed; a listing that was begun before the
// cut-over answers ErrUnavailable and has to begin again.
//
// It returns ErrInvalid for an address at which the instance is already, and, unless
// that is asked for, where other processes use the present store; an *AddressError, what OpenBackend returns, and what migrate.Live returns. One
// switch of an instance is under way at a time: a second waits.
func (i *Instance) Switch(ctx context.Context, address string, o SwitchOptions) (s Switched, err error) {
	i.switching.Lock()
	defer i.switching.Unlock()
	address = strings.TrimSpace(address)
	from := i.at()
	_, s.From = describe(from.address)
	_, s.To = describe(address)
	if s.From == s.To {
		return s, &perdure.InvalidError{Field: "store address", Problem: s.To + " is where the sessions are already"}
	}
	if err := i.alone(ctx, s.From); err != nil && !o.DespiteOthers {
		return s, err
	}
	to, err := i.config.openServing(ctx, address, true, i.logger)
	if err != nil {
		return s, err
	}
	if err := reachable(ctx, to); err != nil {
		return s, errors.Join(fmt.Errorf("%s cannot take sessions: %w", s.To, err), to.Close())
	}
	cut := &cut{relay: i.relay, to: to, address: address}
	if o.Empty {
		err = cut.over(ctx)
	} else {
		s.Moved, err = migrate.Live(ctx, i.relay.Unwrap(), to, cut, o.Migrate)
	}
	s.Pause = cut.pause
	if cut.old == nil {
		return s, errors.Join(err, to.Close())
	}
	i.move(place{address, "it was switched here from " + s.From})
	i.logger.Info("the sessions are kept elsewhere from now on", "from", s.From, "to", s.To, "moved", s.Moved.Migrated, "pause", s.Pause)
	return s, errors.Join(err, cut.old.Close())
}

// sociable is implemented by a backend that knows who else uses its store.
type sociable interface {
	Others(ctx context.Context) ([]string, error)
}

// alone returns an ErrInvalid that names the other processes which use the present store,
// or says that this cannot be known. One that does not answer has nobody who could be
// logged out through it.
func (i *Instance) alone(ctx context.Context, shown string) error {
	store, ok := perdure.As[sociable](i.relay)
	if !ok {
		return nil
	}
	const effect = "a logout through one store would have no effect in the other"
	others, err := store.Others(ctx)
	switch {
	case errors.Is(err, perdure.ErrDenied):
		return &perdure.InvalidError{Field: "switch", Problem: fmt.Sprintf(
			"whether other processes use %s cannot be told, since this user may not ask for CLIENT LIST (+client|list): %s; "+
				"allow it, or, if this is the only process, say that it is to be switched despite others", shown, effect)}
	case err != nil:
		return nil
	case len(others) == 0:
		return nil
	}
	return &perdure.InvalidError{Field: "switch", Problem: fmt.Sprintf(
		"%s is used by others too: %s. After the switch %s. Stop those first, or move all of them with perdure migrate run --live --reverse; "+
			"or say that this one is to be switched despite them", shown, strings.Join(others, ", "), effect)}
}

// settleTime bounds how long a store that is switched to may take to merge what waits for
// it from before.
const settleTime = 30 * time.Second

// reachable returns an error for a backend that cannot be switched to: what fails over
// must have reached its Redis, and have merged what waited for it.
func reachable(ctx context.Context, to perdure.Backend) error {
	f, ok := perdure.As[*failover.Backend](to)
	if !ok {
		return to.Ping(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, settleTime)
	defer cancel()
	for {
		h := f.Health(ctx)
		merging := h.Redis.Error == "" && h.JournalDepth > h.Refused
		switch {
		case h.State == failover.Healthy:
			return to.Ping(ctx)
		case ctx.Err() != nil || !h.Redis.Available && !merging:
			return fmt.Errorf("%w: %s", perdure.ErrUnavailable, h.Reason)
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (i *Instance) move(to place) {
	i.mu.Lock()
	defer i.mu.Unlock()
	_, from := describe(i.place.address)
	i.left = append(i.left, from)
	i.place = to
}

// cut is the cut-over of a relay: a migrate.Gate.
type cut struct {
	relay   *relay
	to      perdure.Backend
	address string

	old   perdure.Backend // where it has happened
	began time.Time
	pause time.Duration
}

// Ready has nothing to wait for.
func (c *cut) Ready(context.Context) error { return nil }

// Hold returns when no write is under way any more.
func (c *cut) Hold(context.Context) error {
	c.began = time.Now()
	c.relay.gate.Lock()
	return nil
}

func (c *cut) Release(moved bool) {
	if moved {
		if f, ok := perdure.As[*failover.Backend](c.to); ok {
			f.Activate()
		}
		c.old = c.relay.turn(c.to, c.address).Backend
	}
	c.pause = time.Since(c.began)
	c.relay.gate.Unlock()
}

// over cuts over at once.
func (c *cut) over(ctx context.Context) error {
	err := c.Hold(ctx)
	c.Release(err == nil)
	return err
}
