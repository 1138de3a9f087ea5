package failover

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/perdure/perdure"
)

// Who gives back to the front store what it has lost says so in it, in a marker that
// all can read: an epoch of nobody, which ends no session, with a mark of each process
// that fills the store. A mark is a lease, which is renewed for as long as that goes on
// and given up when it is done. While one stands, what is absent may be on its way.
const (
	leaseTime  = 15 * time.Second
	leaseEvery = leaseTime / 3
)

// mark is a lease from now on, of which none is left if it is given up. The later of
// two holds.
func (b *Backend) mark(lease time.Duration) perdure.Version {
	return perdure.Version{Time: b.clock.Tick().Time, Node: uint32(lease.Milliseconds())}
}

// stands reports whether the lease of a mark does at a time.
func stands(mark perdure.Version, at perdure.Millis) bool {
	return at < mark.Millis()+perdure.Millis(mark.Node)
}

// fill has the lease stand from when it returns until stop is called. A front store
// that refuses the marker is filled without.
func (b *Backend) fill(ctx context.Context, front perdure.Backend) (stop func(), err error) {
	err = b.lease(ctx, front, leaseTime)
	switch {
	case err == nil:
	case errors.Is(err, perdure.ErrUnavailable) && !errors.Is(err, perdure.ErrFull):
		return nil, err
	default:
		b.opts.Logger.Warn("other processes cannot be told that the session store is being filled again", "error", err)
	}
	renewing, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			rest(renewing, leaseEvery)
			if renewing.Err() != nil {
				return
			}
			if err := b.lease(renewing, front, leaseTime); err != nil && renewing.Err() == nil {
				b.opts.Logger.Debug("the lease on filling the session store could not be renewed", "error", err)
			}
		}
	}()
	return func() {
		cancel()
		<-done
		if err := b.lease(ctx, front, 0); err != nil { // it ends by itself then
			b.opts.Logger.Debug("the lease on filling the session store could not be given up", "error", err)
		}
	}, nil
}

// leaseAttempts is more than as many processes as fill a store at a time.
const leaseAttempts = 100

// lease puts the mark of this process into the marker, beside those of others.
func (b *Backend) lease(ctx context.Context, front perdure.Backend, lease time.Duration) error {
	return b.remark(ctx, front, func(marks map[string]perdure.Version) bool {
		marks[b.filler] = b.mark(lease)
		return true
	})
}

// remark writes the marker with what change makes of its marks, unless it changes none.
// Leases that are over go.
func (b *Backend) remark(ctx context.Context, front perdure.Backend, change func(marks map[string]perdure.Version) (changed bool)) error {
	ctx, cancel := context.WithTimeout(ctx, leaseEvery)
	defer cancel()
	stored, err := front.Get(ctx, b.marker)
	if err != nil {
		return err
	}
	for range leaseAttempts {
		marks := map[string]perdure.Version{}
		if stored.Exists() {
			if marks, err = perdure.Marks(stored); err != nil {
				return err
			}
		}
		now := b.now()
		maps.DeleteFunc(marks, func(name string, mark perdure.Version) bool {
			return !strings.HasPrefix(name, sinceMark) && !stands(mark, now)
		})
		if !change(marks) && stored.Expiry > now+markerLife/2 {
			b.noteMarks(marks)
			b.mirror.learn(&stored, perdure.Version{})
			return nil
		}
		marker := perdure.MarkedEpoch(perdure.NoticeUser(), b.clock.Tick(stored.Version), max(stored.Expiry, now+markerLife), marks)
		results, err := front.Apply(ctx, []perdure.Batch{{{Op: perdure.OpPut, Record: marker, Base: stored.Version}}})
		if err == nil {
			err = results[0].Err
		}
		if err != nil {
			return err
		}
		if results[0].Outcome == perdure.Applied {
			b.noteMarks(marks)
			b.mirror.learn(&marker, stored.Version)
			return nil
		}
		stored = results[0].Stored
	}
	return fmt.Errorf("%w: others write to the marker all the time", perdure.ErrUnavailable)
}

// beingFilled asks the front store whether the lease stands. If there is no marker any
// more, the store was emptied, and gets another.
func (b *Backend) beingFilled(ctx context.Context, st *status) bool {
	marker, err := st.front.Get(ctx, b.marker)
	if err == nil && !marker.Exists() {
		return b.date(ctx, st, st.incarnation, false) != nil
	}
	return err != nil || b.leased(&marker)
}

// filling is beingFilled as far as the mirror has heard.
func (b *Backend) filling() bool {
	marker, err := b.mirror.Get(context.Background(), b.marker)
	return err == nil && b.leased(&marker)
}

func (b *Backend) leased(marker *perdure.Record) bool {
	if marker.Kind != perdure.KindEpoch {
		return false
	}
	marks, err := perdure.Marks(*marker)
	if err != nil {
		return true // of a later release, perhaps
	}
	b.noteMarks(marks)
	now := b.now()
	for name, mark := range marks {
		if !strings.HasPrefix(name, sinceMark) && stands(mark, now) {
			return true
		}
	}
	return false
}
