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
	standby atomic.Bool // nothing is served or written here in an outage
	metrics metrics

	// journalFails is set while the journal takes no writes, of which so many
	// have failed.
	journalFails    atomic.Bool
	journalWhy      atomic.Pointer[string] // it has failed last
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
	since           atomic.Int64           // unix ms from which on what the front store holds is complete; 0 is not known
	copying         rwLock                 // one writer or remover of the mirror's copy
	unreadSessions  atomic.Int64           // in unread, as it was at the start
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
	outage      baseline        // when the present outage began, or the last one

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
	var b *Backend
	opts.journalMade = func() { b.afterMaking() }
	b = &Backend{opts: opts, time: clockwork, clock: perdure.NewClock(opts.Now), suspect: make(chan struct{}, 1), marker: perdure.EpochID(perdure.NoticeUser()), filler: perdure.NewID(0)}
	if b.mirror, err = openMirror(&opts, b.clock); err != nil {
		return nil, err
	}
	if b.journal, err = openJournal(&opts, b.clock); err != nil {
		return nil, errors.Join(&JournalError{opts.Dir, err}, b.mirror.Close())
	}
	b.standby.Store(opts.Standby)
	b.time.earlier = b.journal.readAdrift()
	b.status.Store(&status{state: Degraded, since: opts.Now(), reason: "the session store has not been reached yet", away: everywhere(), left: make(chan struct{}), first: true,
		outage: baseline{began: opts.Now()}})
	b.tellFound()
	b.life, b.stop = context.WithCancel(context.Background())
	b.restoreMirror()
	b.cutOff = !b.journal.unlisted
	b.tryJournal(ctx)
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
		b.opts.Logger.Error("the session store answers, and the configuration does not fit it; starting all the same, since a journal waits to be merged: correct the setting that the error names and start again",
			"error", err, "records", pending)
	case err != nil:
		b.opts.Logger.Warn("the session store cannot be reached", "error", err, "advice", b.prospect(st))
	}
	if err != nil {
		down := *st
		down.reason = b.opts.Explain(plain(err))
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
