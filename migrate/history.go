package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/perdure/perdure"
)

// ErrDataLoss says that a store has lost what was moved into it: it was restarted
// empty or older, flushed or replaced, or it failed over. Moving again brings it back.
var ErrDataLoss = errors.New("a store has lost what was moved into it, or may have")

// incarnated is implemented by a backend that can name the history of what it holds:
// see failover.Incarnated.
type incarnated interface {
	Incarnation(ctx context.Context) (string, error)
}

// known is what a store looked like when it was last looked at: of what answers, not
// of its address.
type known struct {
	// Name is that of its history; empty where it has none to tell.
	Name string `json:"name,omitempty"`
	// Feed is the end of its change feed: empty until it was looked at.
	Feed string `json:"feed,omitempty"`
}

// history watches whether a store still holds what it has acknowledged. It is safe
// for concurrent use.
type history struct {
	store perdure.Backend

	mu    sync.Mutex
	known known
}

func (h *history) get() known {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.known
}

func (h *history) set(k known) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known = k
}

// look returns an ErrDataLoss if the store has another history than when it was last
// looked at. All that it had acknowledged before a look that returns nil it still
// held during that look.
func (h *history) look(ctx context.Context) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	name := ""
	if i, ok := perdure.As[incarnated](h.store); ok {
		var err error
		if name, err = i.Incarnation(ctx); err != nil {
			return err
		}
	}
	end, err := h.store.Changes(ctx, perdure.FromNow, 1, 0)
	if err != nil {
		return err
	}
	before := h.known
	if renamed(before.Name, name) {
		return fmt.Errorf("%w: it was restarted or replaced", ErrDataLoss)
	}
	if before.Feed != "" {
		// After the end was asked for: a loss in between is one of this cursor.
		if _, err := h.store.Changes(ctx, before.Feed, 1, 0); err != nil && !errors.Is(err, perdure.ErrFeedTrimmed) {
			return broken(err)
		}
	}
	h.known.Feed = end.Next
	if before.Name == "" { // else it may lack those of a Cluster that are away now
		h.known.Name = name
	}
	return nil
}

// renamed reports whether one of several servers has a name that none had before.
func renamed(before, now string) bool {
	if before == "" || now == "" {
		return false
	}
	known := strings.Split(before, ",")
	return slices.ContainsFunc(strings.Split(now, ","), func(name string) bool { return !slices.Contains(known, name) })
}

// broken is the ErrDataLoss for a feed that does not go on, or the error that it is.
func broken(err error) error {
	if errors.Is(err, perdure.ErrFeedGap) || strange(err) {
		return fmt.Errorf("%w: its change feed is another", ErrDataLoss)
	}
	return err
}

// strange reports whether an error says that a cursor is one of another kind of store.
func strange(err error) bool {
	invalid, ok := errors.AsType[*perdure.InvalidError](err)
	return ok && invalid.Field == "cursor"
}

// look makes sure that the target still holds all that was moved into it so far. It
// returns an ErrDataLoss where it may not.
func (m *move) look(ctx context.Context) error {
	return m.patiently(ctx, m.tell, m.held.look)
}
