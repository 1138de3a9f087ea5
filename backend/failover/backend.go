// Package failover is a backend made of two: a front store that all processes
// share, and what this process keeps for the time that it cannot be reached.
//
// While all is well every call goes to the front store, and what passes is kept
// in a mirror, which the front store's change feed keeps in step. In an outage
// reads come from the mirror and writes go to a journal; afterwards the journal
// is merged into the front store, by the same merge that online writes use, so
// that nothing acknowledged is lost and nobody who was logged out comes back.
//
// docs/failover.md says what is promised in which situation, and what is not.
//
// # Caveats
//
// A logout through another process, made while this one was already cut off, is
// not known here until the front store is back: until then the session is served
// from the mirror. Options.MaxAge bounds that time.
package failover

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure"
)

// Backend implements perdure.Backend. It is safe for concurrent use. Make one
// with Open.
type Backend struct {
	opts    Options // its Now is that of time
	time    *clockwork
	clock   *perdure.Clock
	mirror  *mirror
	journal *journal

	// gate is held for reading by who serves offline, and for writing by who
	// changes the state: nobody writes to the journal once it was found empty.
	gate   rwLock
	status atomic.Pointer[status]

	suspect chan struct{} // wakes the monitor
	life    context.Context
	stop    context.CancelFunc
	closing sync.Mutex // held to begin what runs in the background
	running sync.WaitGroup
	closed  atomic.Bool
	metrics metrics

	// journalFails is set while the journal takes no writes, of which so many
	// have failed.
	journalFails    atomic.Bool
	journalFailures atomic.Int64
	doubts          atomic.Pointer[string]
	connections     atomic.Uint64          // of the front store, when its history was looked at
	cursor          atomic.Pointer[string] // how far the mirror has followed
	looks           looks                  // at whether the front store has lost something
	probes          looks                  // at whether it is well
	contested       ids                    // of records that the front store lacks something of
	refused         ids                    // of journalled records that the front store does not take
	barred          ids                    // of records of the mirror that it has lost and does not take
	unreadable      ids                    // of records of the front store that were met
	merged          ids                    // of records of the journal, in the present recovery
	own             ids                    // of sessions that nobody else can know: minted in this outage and never merged
	marker          string                 // the id of the record that says that the front store is being filled
	filler          string                 // the name of this process in it
	copying         rwLock                 // one writer or remover of the mirror's copy
	unread          []string               // outdated copies of a mirror that wait for the front store; copying is held
	marking         sync.Mutex             // of the copy as outdated, which it then is
	outdated        bool
	signing         sync.Mutex // a sign of life; it holds the three below
	cutOff          bool       // what is on disk is as true as when the outage began
	distrusts       int        // how often that was taken back
	unsigned        bool       // the last sign could not be written
	kept            atomic.Pointer[[]KeptJournal]
	merging         partitions // that are back while others are away, and not merged yet; the monitor's
}

// status is the state and what goes with it; it is replaced, never written to.
type status struct {
	state       State
	since       time.Time
	reason      string
	front       perdure.Backend // nil until it was opened
	readable    bool            // degraded, but the front store answers reads
	incarnation string          // of the front store, when it was last well
	doubt       string          // why the front store may have lost data
	graceUntil  time.Time       // who is absent may be on the way back until then
	away        partitions      // of the front store, while degraded
	first       bool            // nothing has been amiss since the start

	// left is closed when the state ends, for those who wait in it: how long to
	// wait was decided by the state.
	left chan struct{}
}

var (
	_ perdure.Backend    = (*Backend)(nil)
	_ perdure.Inspector  = (*Backend)(nil)
	_ perdure.Timekeeper = (*Backend)(nil)

	_ perdure.PartialLister = (*Backend)(nil)
)

// Open makes a backend. A front store that is absent is an outage: the error is
// for wrong options (ErrInvalid), a journal that cannot be opened, and a front store
// that answers and will never do: what Options.Open fails with and is no
// ErrUnavailable, or what its Verify returns. But where a journal waits, which
// may hold what ends sessions, that is an outage too, and logged as an error.
func Open(ctx context.Context, options Options) (*Backend, error) {
	opts, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	clockwork := newClockwork(&opts)
	opts.Now = clockwork.Now
	b := &Backend{opts: opts, time: clockwork, clock: perdure.NewClock(opts.Now), suspect: make(chan struct{}, 1), marker: perdure.EpochID(filler()), filler: perdure.NewID(0)}
	if b.mirror, err = openMirror(&opts, b.clock); err != nil {
		return nil, err
	}
	if b.journal, err = openJournal(&opts, b.clock); err != nil {
		return nil, errors.Join(err, b.mirror.Close())
	}
	b.time.earlier = b.journal.readAdrift()
	b.status.Store(&status{state: Degraded, since: opts.Now(), reason: "it has not been reached yet", away: everywhere(), left: make(chan struct{}), first: true})
	b.life, b.stop = context.WithCancel(context.Background())
	b.restoreMirror()
	b.cutOff = !b.journal.unlisted
	if err := b.start(ctx); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	b.spawn(func() { b.signLife(b.life) })
	b.spawn(func() { b.monitor(b.life) })
	b.spawn(func() { b.follow(b.life) })
	return b, nil
}

// spawn has f run in the background, unless the backend is closed. Close waits
// for it.
func (b *Backend) spawn(f func()) (spawned bool) {
	b.closing.Lock()
	defer b.closing.Unlock()
	if b.closed.Load() {
		return false
	}
	b.running.Go(f)
	return true
}

// Verifier is implemented by a front store that can tell an answer from an absence.
type Verifier interface {
	// Verify returns an ErrInvalid if the store answers, and will take no write as
	// long as neither it nor this process is set up in another way.
	Verify(ctx context.Context) error
}

// start reaches for the front store once. Where there is nothing to merge it
// takes over at once. The error is that of one that will never do.
func (b *Backend) start(ctx context.Context) error {
	err := b.connect(ctx)
	st := b.status.Load()
	var out absence
	if err == nil {
		if out = b.probe(ctx, st.front); out.partial() {
			return b.startPartly(ctx, st, out)
		}
		if err = out.err; err != nil {
			err = cmp.Or(b.verify(ctx, st.front), err)
		}
	}
	pending, _ := b.journal.depth()
	wrong := err != nil && (errors.Is(err, perdure.ErrInvalid) || !errors.Is(err, perdure.ErrUnavailable))
	switch {
	case wrong && pending == 0:
		return err
	case wrong:
		b.opts.Logger.Error("the session store answers, and the configuration does not fit it; starting all the same, since a journal waits to be merged: correct the configuration and start again",
			"error", err, "records", pending)
	case err != nil:
		b.opts.Logger.Warn("the session store cannot be reached", "error", err)
	}
	if err != nil {
		down := *st
		down.reason = plain(err)
		b.move(st, &down)
		b.doubt("it could not be reached at the start")
		b.persistMirror()
		return nil
	}
	if pending == 0 {
		b.recover(ctx, st)
		return nil
	}
	waiting := *st
	waiting.reason = fmt.Sprintf("%d records of an outage wait to be merged", pending)
	b.move(st, &waiting)
	b.wake()
	return nil
}

func (b *Backend) verify(ctx context.Context, front perdure.Backend) error {
	verifier, ok := front.(Verifier)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, b.opts.ProbeTimeout)
	defer cancel()
	return verifier.Verify(ctx)
}

// wake has the monitor look at once.
func (b *Backend) wake() {
	select {
	case b.suspect <- struct{}{}:
	default:
	}
}

// Close stops what runs in the background and closes the front store, the
// mirror and the journal. What is in the journal is merged at the next start.
func (b *Backend) Close() error {
	b.closing.Lock()
	was := b.closed.Swap(true)
	b.closing.Unlock()
	if was {
		return perdure.ErrClosed
	}
	b.stop()
	b.running.Wait()
	err := errors.Join(b.mirror.Close(), b.journal.Close())
	if front := b.status.Load().front; front != nil {
		err = errors.Join(err, front.Close())
	}
	return err
}

// served is a way to carry out a call.
type served[T any] struct {
	// claim is what must be merged before the front store can be asked.
	claim func(ctx context.Context) error
	// online asks the front store; offline serves without it.
	online  func(ctx context.Context, st *status) (T, error)
	offline func(ctx context.Context, st *status) (T, error)
	// need is whether logins and logouts need such calls.
	need need
	// reach is where the call goes; everywhere if it is empty.
	reach partitions
	// divisible says that the call can be divided where some of that is away. It then
	// fails with errDivide.
	divisible bool
}

// need says what it means that calls of a kind keep failing.
type need int

const (
	optional need = iota // a list, a count: it is their caller's trouble
	reading              // an outage
	writing              // an outage in which the front store may still answer reads
)

// serve carries out a call in the state that the backend is in, and in the next
// where it changes under it.
func serve[T any](ctx context.Context, b *Backend, s served[T]) (T, error) {
	var none T
	if s.reach.empty() {
		s.reach = everywhere()
	}
	for attempt := 0; ; attempt++ {
		if b.closed.Load() {
			return none, perdure.ErrClosed
		}
		st := b.status.Load()
		if s.divisible && st.away.meets(s.reach) && !s.reach.within(st.away) {
			return none, errDivide
		}
		if st.away.meets(s.reach) {
			v, err, done := offline(ctx, b, s)
			if done {
				return v, err
			}
			continue
		}
		v, err := online(ctx, b, st, s)
		if errors.Is(err, errWaits) {
			s.reach, s.divisible = s.reach.with(st.away), false // it needs what is away, too
			continue
		}
		again, well := b.again(ctx, st, err)
		switch surplus := attempt - max(b.opts.MaxRetries, 0); {
		case !again:
			return v, err
		case !well || surplus < 0:
		case s.need == optional || surplus >= maxSurrenders:
			return v, err
		default:
			b.surrender(st, s.need, s.reach, err)
		}
	}
}

// maxSurrenders is how often a call may begin an outage that is over before it was
// served in it.
const maxSurrenders = 3

// surrender begins an outage since calls keep failing that logins and logouts need,
// although each probe was well: they go another way than it, or ask for more.
// Of a front store with several servers it is that of where they go.
func (b *Backend) surrender(seen *status, n need, reach partitions, cause error) {
	out := absence{away: everywhere(), readable: n == writing, err: fmt.Errorf("calls keep failing although a probe is well: %w", cause)}
	if _, ok := sharded(seen.front); ok {
		out.away = reach
	}
	b.degrade(seen, out)
}

// again reports whether a call that ended so may be tried again, and whether the
// front store is well, which a probe has then found out.
func (b *Backend) again(ctx context.Context, st *status, err error) (again, well bool) {
	if err == nil || !errors.Is(err, perdure.ErrUnavailable) || errors.Is(err, errElsewhere) || ctx.Err() != nil || b.closed.Load() {
		return false, false
	}
	return true, b.confirm(ctx, st, err)
}

func online[T any](ctx context.Context, b *Backend, st *status, s served[T]) (T, error) {
	if st.state != Healthy {
		if err := s.claim(ctx); err != nil {
			var none T
			return none, err
		}
	}
	return s.online(ctx, st)
}

// offline serves without the front store; done is false where it came back.
func offline[T any](ctx context.Context, b *Backend, s served[T]) (v T, err error, done bool) {
	b.gate.RLock()
	defer b.gate.RUnlock()
	st := b.status.Load()
	if !st.away.meets(s.reach) {
		return v, nil, false
	}
	if b.opts.Outage == OutageRefuse {
		return v, b.unavailable(st, "the policy is to refuse until it is back"), true
	}
	v, err = s.offline(ctx, st)
	return v, err, true
}

// plain is the text of an error without the words that every one of this kind begins
// with: what it is part of has them already.
func plain(err error) string {
	return strings.ReplaceAll(err.Error(), perdure.ErrUnavailable.Error()+": ", "")
}

// both is the error of a call and of the probe that followed it up, told once if they
// say the same.
func both(call, probe error) error {
	if call.Error() == probe.Error() {
		return call
	}
	return fmt.Errorf("%w; then a probe: %w", call, probe)
}

// unavailable is the error of a call that cannot be served offline.
func (b *Backend) unavailable(st *status, why string) error {
	return fmt.Errorf("%w: the session store is %s since %s (%s) and %s",
		perdure.ErrUnavailable, st.state, st.since.UTC().Format(time.RFC3339), st.reason, why)
}

// Get returns what is stored under the id.
func (b *Backend) Get(ctx context.Context, id string) (perdure.Record, error) {
	if st := b.status.Load(); st.state == Healthy {
		// What is cached was read through here before, and agreed on then, unless
		// something is contested still.
		if r, ok := b.cached(st, id); ok {
			return r, nil
		}
		r, err := st.front.Get(ctx, id)
		if err == nil {
			r, err = b.agree(ctx, st, id, r)
		}
		if again, _ := b.again(ctx, st, err); !again {
			return r, err
		}
	}
	return serve(ctx, b, served[perdure.Record]{
		need:  reading,
		reach: at(perdure.PartitionOf(id)),
		claim: func(ctx context.Context) error { return b.claim(ctx, id) },
		online: func(ctx context.Context, st *status) (perdure.Record, error) {
			r, err := st.front.Get(ctx, id)
			if err != nil {
				return r, err
			}
			return b.agree(ctx, st, id, r)
		},
		offline: func(ctx context.Context, st *status) (perdure.Record, error) { return b.offlineGet(ctx, st, id) },
	})
}

// Cached is implemented by a front store that has a near cache.
type Cached interface {
	// Cached returns a record that is in it.
	Cached(id string) (perdure.Record, bool)
}

func (b *Backend) cached(st *status, id string) (perdure.Record, bool) {
	front, ok := st.front.(Cached)
	if !ok || b.closed.Load() || b.contested.len() > 0 {
		return perdure.Record{}, false
	}
	return front.Cached(id)
}

// Load is Get of many.
func (b *Backend) Load(ctx context.Context, ids []string) ([]perdure.Record, error) {
	for {
		records, err := b.loadSome(ctx, ids, b.status.Load())
		if !errors.Is(err, errDivide) {
			return records, err
		}
	}
}

// loadSome is Load, in two where some of the ids are away. It fails with errDivide if
// that changes meanwhile.
func (b *Backend) loadSome(ctx context.Context, ids []string, st *status) ([]perdure.Record, error) {
	if cut, rest := divide(ids, st.away, func(id string) partitions { return at(perdure.PartitionOf(id)) }); len(cut) > 0 && len(rest) > 0 {
		return b.loadParts(ctx, ids, cut, rest)
	}
	return serve(ctx, b, served[[]perdure.Record]{
		reach: reachOfIDs(ids), divisible: true,
		claim: func(ctx context.Context) error { return b.claim(ctx, ids...) },
		online: func(ctx context.Context, st *status) ([]perdure.Record, error) {
			records, err := st.front.Load(ctx, ids)
			bad, err := perdure.AsUnreadable(err)
			if err != nil {
				return nil, err
			}
			unreadable := bad.Set()
			return loadEach(ids, func(i int) (perdure.Record, error) {
				if unreadable[ids[i]] {
					return perdure.Record{}, cmp.Or(bad.Err, perdure.ErrFormat)
				}
				return b.agree(ctx, st, ids[i], records[i])
			})
		},
		offline: func(ctx context.Context, st *status) ([]perdure.Record, error) {
			return loadEach(ids, func(i int) (perdure.Record, error) { return b.offlineGet(ctx, st, ids[i]) })
		},
	})
}

// loadEach is Load, one by one.
func loadEach(ids []string, load func(i int) (perdure.Record, error)) ([]perdure.Record, error) {
	records := make([]perdure.Record, len(ids))
	var bad perdure.UnreadableError
	for i, id := range ids {
		r, err := load(i)
		switch {
		case errors.Is(err, perdure.ErrFormat):
			bad.Add(id, err)
		case err != nil:
			return nil, err
		default:
			records[i] = r
		}
	}
	return records, bad.OrNil()
}
