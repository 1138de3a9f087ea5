package failover

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure"
)

// Health says how the backend is, in the shape that users of its forerunner
// know, and more.
type Health struct {
	Redis    FrontHealth    `json:"redis"`
	Fallback FallbackHealth `json:"fallback"`
	State    State          `json:"state"`
	Since    time.Time      `json:"since"`
	Reason   string         `json:"reason"`

	// PartitionsAway is of how many partitions the calls are served without the front
	// store: all but in a Cluster, of which some masters may be there.
	PartitionsAway int `json:"partitionsAway,omitempty"`

	JournalDepth   int64  `json:"journalDepth"` // records that wait to be merged
	JournalBytes   int64  `json:"journalBytes"`
	JournalOldest  int64  `json:"journalOldest"`          // milliseconds that the first has waited
	JournalDurable bool   `json:"journalDurable"`         // false: a crash in an outage loses it, or it takes no writes
	JournalError   string `json:"journalError,omitempty"` // why it takes no writes, or none but ends
	// Kept are journals in the directory that this process does not merge: of other
	// stores, and damaged ones.
	Kept []KeptJournal `json:"journalsKept,omitempty"`

	// HeldBack is how many sessions that are kept on disk are unavailable until the front
	// store was reached: this process was down for longer than Options.MaxDowntime.
	HeldBack int64 `json:"heldBack,omitempty"`
	// Waiting says, while the front store is served from, what has to wait all the same,
	// why, and, if that is known, until when. It is empty as a rule.
	Waiting string `json:"waiting,omitempty"`

	Mirror        Mirror `json:"mirror"`       // what is kept: full or seen
	MirrorReason  string `json:"mirrorReason"` // why that
	MirrorRecords int64  `json:"mirrorRecords"`
	MirrorBytes   int64  `json:"mirrorBytes"`
	MirrorAge     int64  `json:"mirrorAge"`    // milliseconds since it was last in step
	MirrorMissed  int64  `json:"mirrorMissed"` // records that did not fit
	MirrorWhole   bool   `json:"mirrorWhole"`  // it holds every session there is

	Replayed    int64 `json:"replayed"`    // records merged after outages
	Refused     int64 `json:"refused"`     // records of journal and mirror that the front store refuses
	Unreadable  int64 `json:"unreadable"`  // records of front store and journals that were met and cannot be read, up to about a thousand
	Lost        int64 `json:"lost"`        // records that the front store had lost
	FeedGaps    int64 `json:"feedGaps"`    // times the mirror fell off the feed
	Transitions int64 `json:"transitions"` // changes of state
}

// FrontHealth is that of the front store.
type FrontHealth struct {
	Available bool    `json:"available"`
	Latency   float64 `json:"latency"` // of the last probe, in milliseconds
	Error     string  `json:"error,omitempty"`
}

// FallbackHealth is that of mirror and journal.
type FallbackHealth struct {
	Available bool `json:"available"`
}

type metrics struct {
	replayed, lost, gaps, transitions atomic.Int64

	mu      sync.Mutex
	latency time.Duration
	err     error
}

func (m *metrics) probed(took time.Duration, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.latency, m.err = took, err
}

// Health returns what is known without asking the front store.
func (b *Backend) Health(ctx context.Context) Health {
	st := b.status.Load()
	depth, bytes := b.journal.depth()
	mirror, _ := b.mirror.Stats(ctx)
	h := Health{
		State: st.state, Since: st.since, Reason: st.reason, PartitionsAway: st.away.len(),
		JournalDepth: depth, JournalBytes: bytes, JournalOldest: b.journal.age().Milliseconds(), JournalDurable: b.journal.durable && !b.journalFails.Load(),
		MirrorRecords: mirror.Sessions, MirrorBytes: mirror.Bytes, MirrorAge: b.mirror.age().Milliseconds(), MirrorMissed: b.mirror.missed.Load(), MirrorWhole: b.mirror.knowsAll(),
		Replayed: b.metrics.replayed.Load(), Refused: b.refused.len() + b.barred.len(),
		Unreadable: b.unreadable.len() + int64(b.journal.unreadable), Lost: b.metrics.lost.Load(),
		FeedGaps: b.metrics.gaps.Load(), Transitions: b.metrics.transitions.Load(),
	}
	if kept := b.kept.Load(); kept != nil {
		h.Kept = *kept
	}
	if why := b.journalWhy.Load(); why != nil && b.journalFails.Load() {
		h.JournalError = *why
	}
	if err := b.growable(); err != nil && st.state.outage() && h.JournalError == "" {
		h.JournalError = plain(err)
	}
	if st.state.outage() {
		h.HeldBack = b.journal.stale.len() + b.unreadSessions.Load()
	}
	h.Waiting = b.waiting(st)
	h.Mirror, h.MirrorReason = b.mirror.kept()
	h.Fallback.Available = b.opts.Outage != OutageRefuse
	b.metrics.mu.Lock()
	defer b.metrics.mu.Unlock()
	h.Redis = FrontHealth{Available: st.state == Healthy || st.state == Recovering || st.state == Reseeding, Latency: b.metrics.latency.Seconds() * 1000}
	if b.metrics.err != nil {
		h.Redis.Error = b.metrics.err.Error()
	}
	return h
}

// Stats counts what the front store holds, or offline what this process does: that is
// for operators, whatever the policy refuses to callers.
func (b *Backend) Stats(ctx context.Context) (perdure.Stats, error) {
	if b.opts.Outage == OutageRefuse && b.status.Load().away.all() {
		return b.ownStats(ctx)
	}
	return serve(ctx, b, served[perdure.Stats]{
		claim:   func(context.Context) error { return nil },
		online:  func(ctx context.Context, st *status) (perdure.Stats, error) { return st.front.Stats(ctx) },
		offline: func(ctx context.Context, _ *status) (perdure.Stats, error) { return b.ownStats(ctx) },
	})
}

// ownStats counts what this process keeps.
func (b *Backend) ownStats(ctx context.Context) (perdure.Stats, error) {
	stats, err := b.mirror.Stats(ctx)
	waiting, _ := b.journal.depth()
	stats.Backend = "failover"
	stats.Details = map[string]string{
		"counted": fmt.Sprintf("the copy that this process keeps, not Redis, which is away; %s more in its journal", count(waiting, "record")),
	}
	return stats, err
}

// Ping returns nil when the backend can take a write now, if need be offline.
func (b *Backend) Ping(ctx context.Context) error {
	_, err := serve(ctx, b, served[struct{}]{
		need:  writing,
		claim: func(context.Context) error { return nil },
		online: func(ctx context.Context, st *status) (struct{}, error) {
			return struct{}{}, st.front.Ping(ctx)
		},
		offline: func(ctx context.Context, st *status) (struct{}, error) {
			return struct{}{}, errors.Join(b.writable(st), b.journal.Ping(ctx))
		},
	})
	return err
}

// Inspect is the report of the front store and of the journal, and in an outage that
// it is one.
func (b *Backend) Inspect(ctx context.Context) ([]perdure.Finding, error) {
	var findings []perdure.Finding
	st := b.status.Load()
	if st.state != Healthy {
		findings = append(findings, perdure.Finding{
			Severity: perdure.SeverityWarning, Name: "failover", Advice: b.prospect(st),
			Found: fmt.Sprintf("%s since %s: %s", st.state, st.since.UTC().Format(time.RFC3339), st.reason),
		})
	}
	if why := b.waiting(st); why != "" {
		findings = append(findings, perdure.Finding{Severity: perdure.SeverityWarning, Name: "waiting", Found: why, Advice: "wait: it ends by itself"})
	}
	if kept := b.kept.Load(); kept != nil {
		for _, k := range *kept {
			findings = append(findings, perdure.Finding{Severity: perdure.SeverityWarning, Name: "journal in " + k.Dir, Found: k.Why, Advice: k.Advice})
		}
	}
	front, err := perdure.Inspect(ctx, st.front)
	if err != nil && st.state == Healthy {
		return findings, err
	}
	journal, err := perdure.Inspect(ctx, b.journal)
	for i := range journal { // it is not where the sessions are
		journal[i].Name = "journal: " + journal[i].Name
	}
	return slices.Concat(findings, front, journal), err
}
