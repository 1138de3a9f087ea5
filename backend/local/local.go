// Package local keeps sessions in the memory of this process and, given a
// directory, in a file as well. It is the backend of a service that has no
// Redis, and needs nothing but the Go program that it is part of.
//
// All reads come from memory. With a directory every write is on disk before
// anyone sees it and before it is acknowledged: it survives a crash of the
// process at any moment, and of the machine as far as the disk keeps what it
// confirmed. Writes that wait at the same time share one fsync.
//
// # Caveats
//
// All records live in memory. Options.MaxBytes bounds them, and a full backend
// refuses new sessions rather than evict live ones.
//
// The change feed is in memory alone: after a restart every cursor from before
// it is answered with perdure.ErrFeedGap.
//
// One process at a time can hold a data directory. The file in it takes about
// twice what its records do and uses the room of those that are gone again. It shrinks
// when it is opened with most of it room, and by Compact.
package local

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure"
)

// Backend implements perdure.Backend and perdure.Inspector. It is safe for
// concurrent use. Make one with Open.
type Backend struct {
	opts       Options // with its defaults filled in
	skew       perdure.Millis
	shards     [perdure.Partitions]shard
	bytes      atomic.Int64 // what all records take, by size
	sweepStart atomic.Uint32
	feed       *feed
	stages     sync.Pool // of *stage, for commands in memory
	applies    sync.Pool // of *single, for Apply in memory
	closed     atomic.Bool
	full       atomic.Bool   // there was no Room
	closing    chan struct{} // closed by Close, for those who wait for changes

	// The rest is there with a directory only.
	file       *file
	committer  *committer
	unreadable map[string]error             // by id, each an ErrFormat; fixed by Open
	passedOver [perdure.Partitions][]string // the ids of unreadable, in order
}

var (
	_ perdure.Backend   = (*Backend)(nil)
	_ perdure.Inspector = (*Backend)(nil)
)

// Open makes a backend, and where Options.Dir is set creates or loads its data
// file. A directory that another process holds, or that cannot be used, is a
// perdure.ErrUnavailable; a damaged file, or one of a newer layout, is a
// perdure.ErrFormat and is left as it is; a wrong option is a
// perdure.ErrInvalid.
func Open(opts Options) (*Backend, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	b := &Backend{
		opts:    opts,
		skew:    perdure.Millis(opts.MaxClockSkew.Milliseconds()),
		feed:    newFeed(opts.FeedLength),
		closing: make(chan struct{}),
		stages:  sync.Pool{New: func() any { return new(stage) }},
		applies: sync.Pool{New: func() any { return new(single) }},
	}
	for i := range b.shards {
		b.shards[i].init()
	}
	if opts.Dir == "" {
		return b, nil
	}
	b.file, err = openFile(opts.Dir, opts.LockWait, opts.Strict, opts.endReserve())
	if errors.Is(err, ErrNoRoom) && opts.Late {
		b.file, err = lateFile(opts.Dir, opts.Strict, opts.endReserve()), nil
	}
	if err != nil {
		return nil, err
	}
	if err := b.load(); err != nil {
		b.file.close()
		return nil, err
	}
	b.committer = startCommitter(b)
	return b, nil
}

// load fills the memory from the file.
func (b *Backend) load() error {
	b.unreadable = map[string]error{}
	var taken int64
	err := b.file.each(func(id string, r *perdure.Record, err error) {
		if err != nil {
			b.unreadable[id] = err
			p := perdure.PartitionOf(id)
			b.passedOver[p] = append(b.passedOver[p], id)
			b.opts.Logger.Error("a stored record cannot be read: it stays in the data file and is not served", "error", err)
			return
		}
		b.bytes.Add(size(r))
		taken += int64(len(id) + r.EncodedSize())
		b.apply(mutation{new: r})
	})
	if err == nil && len(b.unreadable) == 0 {
		b.compactAtStart(taken)
	}
	return err
}

// Get returns what is stored under the id, from memory.
func (b *Backend) Get(ctx context.Context, id string) (perdure.Record, error) {
	if err := b.ready(ctx); err != nil {
		return perdure.Record{}, err
	}
	if r := b.record(id); r != nil {
		return *r, nil
	}
	return perdure.Record{}, b.unreadable[id]
}

// Load is Get of many. It is not a snapshot: a write may fall between two ids.
func (b *Backend) Load(ctx context.Context, ids []string) ([]perdure.Record, error) {
	if err := b.ready(ctx); err != nil {
		return nil, err
	}
	var bad perdure.UnreadableError
	records := make([]perdure.Record, len(ids))
	for i, id := range ids {
		if r := b.record(id); r != nil {
			records[i] = *r
		} else if err := b.unreadable[id]; err != nil {
			bad.Add(id, err)
		}
	}
	return records, bad.OrNil()
}

// Apply carries out batches. With a directory, those of one call share an fsync
// with each other and with other calls; where the context ends first, they may
// still be applied.
func (b *Backend) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	if err := b.ready(ctx); err != nil {
		return nil, err
	}
	results := make([]perdure.Result, len(batches))
	if b.committer == nil {
		c := b.applies.Get().(*single)
		for i := range batches {
			c.batches, c.results = batches[i:i+1], results[i:i+1]
			b.execute(&c.batchCommand)
		}
		b.release(c)
		return results, nil
	}
	if err := b.committer.do(ctx, &batchCommand{batches: cloneBatches(batches), results: results}); err != nil {
		return nil, err
	}
	return results, nil
}

// ApplyOne is Apply of a single batch for a caller to whom its outcome says enough:
// one that keeps copies here of what it has written elsewhere. In memory it leaves
// no garbage behind.
func (b *Backend) ApplyOne(ctx context.Context, batch perdure.Batch) (perdure.Outcome, error) {
	if b.committer != nil {
		results, err := b.Apply(ctx, []perdure.Batch{batch})
		if err != nil {
			return 0, err
		}
		return results[0].Outcome, results[0].Err
	}
	if err := b.ready(ctx); err != nil {
		return 0, err
	}
	c := b.applies.Get().(*single)
	defer b.release(c)
	c.batch[0] = batch
	c.batches, c.results = c.batch[:], c.result[:]
	b.execute(&c.batchCommand)
	return c.result[0].Outcome, c.result[0].Err
}

// release ends the use of a command. The pool keeps no record alive.
func (b *Backend) release(c *single) {
	*c = single{}
	b.applies.Put(c)
}

// Changes reads the feed. Writers wake those who wait in it.
func (b *Backend) Changes(ctx context.Context, after string, limit int, wait time.Duration) (perdure.ChangeBatch, error) {
	if err := b.ready(ctx); err != nil {
		return perdure.ChangeBatch{}, err
	}
	return b.feed.changes(ctx, b.closing, after, pageLimit(limit), wait)
}

// Ping returns nil when a new session would be taken now: there is Room, and with a
// directory an empty write to the data file is committed, or since one was refused, a
// write of its size.
func (b *Backend) Ping(ctx context.Context) error {
	if err := b.PingFile(ctx); err != nil {
		return err
	}
	return b.Room()
}

// Check sees to it that the data file still has its name, as every write does, and makes
// it anew if it was removed.
func (b *Backend) Check(ctx context.Context) error {
	if err := b.ready(ctx); err != nil || b.committer == nil {
		return err
	}
	return b.committer.do(ctx, checkCommand{})
}

// Close carries out what is queued and releases the data file. A second Close
// returns perdure.ErrClosed.
func (b *Backend) Close() error {
	if b.closed.Swap(true) {
		return perdure.ErrClosed
	}
	close(b.closing)
	if b.committer == nil {
		return nil
	}
	return errors.Join(b.committer.stop(), b.file.close())
}

// do carries out the command: at once, or with a directory through the queue
// of the data file.
func (b *Backend) do(ctx context.Context, c command) error {
	if b.committer != nil {
		return b.committer.do(ctx, c)
	}
	b.execute(c)
	return nil
}

// ready returns why a call cannot be served: a closed backend or an ended
// context.
func (b *Backend) ready(ctx context.Context) error {
	if b.closed.Load() {
		return perdure.ErrClosed
	}
	if ctx.Err() != nil {
		return ended(ctx)
	}
	return nil
}

// ended is the error of a context that has ended.
func ended(ctx context.Context) error {
	if ctx.Err() == context.DeadlineExceeded {
		return fmt.Errorf("%w: the time for the call is up: %w", perdure.ErrUnavailable, context.DeadlineExceeded)
	}
	return context.Canceled
}

// now is the backend's clock.
func (b *Backend) now() perdure.Millis { return perdure.MillisOf(b.opts.Now()) }

// record is what is stored under the id, or nil. It must not be written to.
func (b *Backend) record(id string) *perdure.Record {
	s := b.shardOf(id)
	s.mu.RLock()
	e := s.entries.find(id)
	s.mu.RUnlock()
	if e == nil {
		return nil
	}
	return e.record.Load()
}
