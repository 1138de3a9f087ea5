package failover

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// mirror holds copies of records of the front store, for an outage: the newest
// state of each that passed through here or came by the feed.
type mirror struct {
	*local.Backend
	now    func() time.Time
	full   bool
	synced atomic.Int64 // unix ms when it was last in step with the front store
	missed atomic.Int64 // records that did not fit
}

func openMirror(o *Options) (*mirror, error) {
	b, err := local.Open(local.Options{MaxBytes: o.MaxMirrorBytes, FeedLength: 1, Now: o.Now})
	if err != nil {
		return nil, err
	}
	return &mirror{Backend: b, now: o.Now, full: o.Mirror == MirrorFull}, nil
}

// learn keeps the record if it is news.
func (m *mirror) learn(r *perdure.Record) {
	ctx := context.Background()
	for {
		stored, err := m.Backend.Get(ctx, r.ID)
		if err != nil || stored.Version == r.Version && stored.LastAccess >= r.LastAccess && stored.Kind == r.Kind {
			return
		}
		if stored.Kind == perdure.KindTombstone && r.Kind == perdure.KindSession || r.Version.Before(stored.Version) && r.Kind == stored.Kind {
			return // a read that was overtaken
		}
		result, err := m.Backend.Apply(ctx, []perdure.Batch{{{Op: perdure.OpPut, Record: *r, Base: stored.Version, Epoch: m.epochOf(r)}}})
		if err != nil || result[0].Err != nil {
			m.missed.Add(1)
			return
		}
		if result[0].Outcome == perdure.Applied || result[0].Stored.ID != r.ID {
			return
		}
	}
}

// revoked ends what the epoch ends. Those that another process has ended before
// are not named in what the front store answers.
func (m *mirror) revoked(epoch *perdure.Record, clock *perdure.Clock, codec perdure.Codec) {
	merger := perdure.Merger{Backend: m.Backend, Clock: clock, Codec: codec}
	if _, err := merger.Merge(context.Background(), *epoch); err != nil {
		m.missed.Add(1)
	}
}

// epochOf is the version of the user's epoch: what the front store holds alive
// was spared by it.
func (m *mirror) epochOf(r *perdure.Record) perdure.Version {
	if r.Kind != perdure.KindSession || r.User == "" {
		return perdure.Version{}
	}
	epoch, _ := m.Backend.Get(context.Background(), perdure.EpochID(r.User))
	return epoch.Version
}

// touched moves the last access of a session that is held.
func (m *mirror) touched(id string, at perdure.Millis) {
	_, _ = m.Backend.Apply(context.Background(), []perdure.Batch{{{Op: perdure.OpTouch, Record: perdure.Record{ID: id, Header: perdure.Header{LastAccess: at}}}}})
}

// age is how long ago the mirror was last in step.
func (m *mirror) age() time.Duration {
	synced := m.synced.Load()
	if synced == 0 {
		return 0
	}
	return max(0, m.now().Sub(time.UnixMilli(synced)))
}

func (m *mirror) inStep() { m.synced.Store(m.now().UnixMilli()) }
