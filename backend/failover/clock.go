package failover

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// clockwork tells the time by the front store's clock. Until that was reached for the
// first time it goes on from what the machine's clock showed at the start, whatever
// that does meanwhile: so all stamps are off by the same, and by how much is known as
// soon as the front store answers.
type clockwork struct {
	machine func() time.Time
	opened  time.Time // by the machine's clock
	began   time.Time // the same moment, by the monotonic one
	front   atomic.Pointer[func() time.Time]

	// uptime is that of the machine, and boot which one it was when the process began.
	uptime func() (boot string, uptime time.Duration)

	// What is needed to mend the stamps of the time before.
	mu       sync.Mutex
	present  clockLife // of this process
	accessed map[string]perdure.Millis
	earlier  []clockLife // of processes that are gone, which nobody told the time
}

func newClockwork(o *Options) *clockwork {
	c := &clockwork{machine: o.Now, opened: o.Now().Round(0), began: time.Now(), uptime: o.Uptime, accessed: map[string]perdure.Millis{}}
	c.present = clockLife{opened: perdure.MillisOf(c.opened), nodes: map[uint32]bool{}}
	c.present.boot, c.present.uptime = c.uptime()
	return c
}

// Now is the time by the front store's clock, as far as it is known.
func (c *clockwork) Now() time.Time {
	if front := c.front.Load(); front != nil {
		return (*front)()
	}
	return c.opened.Add(time.Since(c.began))
}

// shown is what the machine's clock shows.
func (c *clockwork) shown() perdure.Millis { return perdure.MillisOf(c.machine()) }

// told reports whether the front store has told the time yet.
func (c *clockwork) told() bool { return c.front.Load() != nil }

// note takes down which clock stamps a write before the front store has told the
// time, and whether that is news. What is merged was stamped elsewhere.
func (c *clockwork) note(w *perdure.Write) (news bool) {
	r := &w.Record
	if w.Op == perdure.OpTouch || w.Op == perdure.OpPut && w.Base.IsZero() && r.Kind == perdure.KindSession && w.Reason != perdure.ReasonMerged {
		c.accessed[r.ID] = max(c.accessed[r.ID], r.LastAccess)
	}
	if w.Op == perdure.OpTouch || w.Reason == perdure.ReasonMerged || c.present.nodes[r.Version.Node] {
		return false
	}
	c.present.nodes[r.Version.Node] = true
	return true
}

// stamped notes what is about to be written to the journal.
func (b *Backend) stamped(batches ...perdure.Batch) {
	if b.time.told() {
		return
	}
	b.time.mu.Lock()
	defer b.time.mu.Unlock()
	news := false
	for _, batch := range batches {
		for i := range batch {
			news = b.time.note(&batch[i]) || news
		}
	}
	if !news {
		return
	}
	b.time.present.nodes[b.clock.Tick().Node] = true // what this backend merges, it stamps itself
	if err := b.journal.writeAdrift(&b.time.present); err != nil {
		b.opts.Logger.Error("it could not be noted that nobody has told this process the time: after a restart in this outage its stamps are taken for right", "error", err)
	}
}

// timely returns an error for what was stamped before a clock was put right, and
// comes to be written after that: by the caller's next attempt it has another stamp.
func (b *Backend) timely(st *status, batch perdure.Batch) error {
	if !b.time.told() {
		return nil
	}
	limit := perdure.MillisOf(b.Now().Add(b.opts.MaxClockSkew))
	for i := range batch {
		switch w := &batch[i]; {
		case w.Record.Version.Millis() <= limit, w.Op == perdure.OpTouch:
		case w.Op == perdure.OpRemove:
			return nil // its version decides nothing, and is mended with the merge
		case w.Reason == perdure.ReasonMerged:
			return fmt.Errorf("%w; set the clock of the writer", perdure.ErrSkew)
		default:
			return b.unavailable(st, "this machine's clock has been set right; try again")
		}
	}
	return nil
}

// Now is the time by the front store's clock: it goes on in an outage, whatever this
// machine's does.
func (b *Backend) Now() time.Time { return b.time.Now() }

// rightWithin is how far a clock may be off and what it stamps stays as it is.
const rightWithin = time.Second

// reached takes the time from a front store that was reached for the first time, and
// sets right what was stamped before. The caller holds the gate: nobody stamps
// anything in between.
func (b *Backend) reached(front perdure.Backend) {
	now := perdure.TimeOf(front, b.time.machine)
	if !b.time.told() {
		ahead := b.time.Now().Sub(now())
		if ahead.Abs() < rightWithin {
			ahead = 0
		} else {
			b.opts.Logger.Warn("the clock of this machine was wrong at the start; what was stamped since is set right", "ahead", ahead.Round(time.Millisecond))
		}
		if err := b.mendJournal(b.life, now(), ahead); err != nil {
			b.opts.Logger.Error("what a wrong clock has stamped could not be set right in the journal", "error", err)
		}
		b.journal.shift(-ahead)
		b.mirror.shift(-ahead)
	}
	b.time.front.Store(&now)
}

// mendJournal sets right, in the journal, what was stamped before the front store had
// told the time: by this process, ahead of it by so much, or by one that is gone.
func (b *Backend) mendJournal(ctx context.Context, now time.Time, ahead time.Duration) error {
	b.time.mu.Lock()
	defer b.time.mu.Unlock()
	_, uptime := b.time.uptime()
	others, unknown := judge(b.time.earlier, &b.time.present, uptime, now)
	m := &perdure.Mender{
		Codec: b.opts.Codec, Now: perdure.MillisOf(now), Since: perdure.MillisOf(b.time.opened.Add(-ahead)), Ahead: perdure.Millis(ahead.Milliseconds()),
		Nodes: b.time.present.nodes, Accessed: b.time.accessed, Others: others, Adrift: unknown,
	}
	for page, err := range pages(ctx, b.journal.Backend) {
		if err != nil {
			return err
		}
		for i := range page.Records {
			_ = m.Look(page.Records[i]) // what cannot be read stays as it is
		}
	}
	for page, err := range pages(ctx, b.journal.Backend) {
		if err != nil {
			return err
		}
		if err := b.mendPage(ctx, m, page.Records); err != nil {
			return err
		}
	}
	b.time.present.nodes, b.time.accessed, b.time.earlier = nil, nil, nil
	return b.journal.dropAdrift()
}

func (b *Backend) mendPage(ctx context.Context, m *perdure.Mender, records []perdure.Record) error {
	var mended []local.Replacement
	for _, r := range records {
		if right, err := m.Mend(r); err == nil && right != r {
			mended = append(mended, local.Replacement{Old: r, New: right})
		}
	}
	return b.journal.Replace(ctx, mended)
}

// merge merges records into the front store. What that refuses because it was stamped
// by a clock too far ahead is merged as of now: by a stamp nothing acknowledged is lost.
func (b *Backend) merge(ctx context.Context, front perdure.Backend, records ...perdure.Record) []perdure.Merged {
	merger := b.merger(front)
	merged := merger.MergeAll(ctx, records)
	m := &perdure.Mender{Codec: b.opts.Codec, Now: perdure.MillisOf(b.Now())}
	var early []int
	for i := range merged {
		if errors.Is(merged[i].Err, perdure.ErrSkew) && m.Look(records[i]) == nil {
			early = append(early, i)
		}
	}
	if len(early) == 0 {
		return merged
	}
	mended := make([]perdure.Record, len(early))
	for n, i := range early {
		mended[n], _ = m.Mend(records[i]) // as it is, if it cannot be read
	}
	for n, again := range merger.MergeAll(ctx, mended) {
		merged[early[n]] = again
	}
	return merged
}
