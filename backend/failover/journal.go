package failover

import (
	"context"
	"errors"
	"iter"
	"slices"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// journal holds what was written in an outage: whole records, each as it will be
// merged. That a record is in it is what marks it as pending, so record and mark
// are one write. A record stays until its merge was acknowledged.
type journal struct {
	*local.Backend
	dir     string   // of this process; empty where it is in memory
	left    []string // of processes that are gone, whose journals were taken over
	now     func() time.Time
	durable bool
	oldest  atomic.Int64 // unix ms of the first entry since it was last empty
	ends    ids          // of what is in it and is no session
	stale   ids          // of sessions in it from earlier lives, which ended too long ago

	lives    map[string]life // of what is in its folder, and in those that were left
	unlisted bool            // what is stale could not be written down

	// unreadable is how many records of it, and of journals that were taken over,
	// cannot be read: they stay on the disk and are not merged.
	unreadable int
}

// life is what is known of the process that a folder is from.
type life struct {
	synced perdure.Millis // when its mirror was last in step; 0 is not known
	waited perdure.Millis // for how long its first record has, as far as is known
	recent bool           // it has stopped a short while ago, in an outage
}

func openJournal(o *Options, clock *perdure.Clock) (*journal, error) {
	b, dir, err := openFolder(o)
	if err != nil {
		return nil, err
	}
	j := &journal{Backend: b, dir: dir, now: o.Now, durable: o.Dir != "", lives: map[string]life{}}
	if err := j.noteStale(o, b, dir); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	j.listStale(o)
	if err := j.takeOver(o, clock); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	if n, _ := j.depth(); n > 0 {
		waited := perdure.Millis(0)
		for _, l := range j.lives {
			waited = max(waited, l.waited)
		}
		j.oldest.Store(o.Now().UnixMilli() - int64(waited))
	}
	for page, err := range pages(context.Background(), b) {
		if err != nil {
			return nil, errors.Join(err, b.Close())
		}
		j.unreadable += len(page.Unreadable)
		for i := range page.Records {
			if page.Records[i].Kind != perdure.KindSession {
				j.ends.add(page.Records[i].ID)
			}
		}
	}
	return j, nil
}

// depth is how many records are pending and how many bytes they take.
func (j *journal) depth() (records, bytes int64) {
	stats, err := j.Backend.Stats(context.Background())
	if err != nil {
		return 0, 0
	}
	return stats.Sessions + stats.Tombstones, stats.Bytes
}

// age is how long the oldest entry has waited.
func (j *journal) age() time.Duration {
	oldest := j.oldest.Load()
	if oldest == 0 {
		return 0
	}
	return max(0, j.now().Sub(time.UnixMilli(oldest)))
}

// shift moves the clock of the oldest entry.
func (j *journal) shift(by time.Duration) {
	if oldest := j.oldest.Load(); oldest != 0 {
		j.oldest.CompareAndSwap(oldest, oldest+by.Milliseconds())
	}
}

// noted starts the clock of the oldest entry, and reports whether it did.
func (j *journal) noted() bool { return j.oldest.CompareAndSwap(0, j.now().UnixMilli()) }

// pages yields all records of a backend, in two passes: what ends sessions, then
// the sessions. The first names those that cannot be read, too.
func pages(ctx context.Context, b *local.Backend) iter.Seq2[perdure.Page, error] {
	return func(yield func(perdure.Page, error) bool) {
		for _, ends := range []bool{true, false} {
			for q := (perdure.ScanQuery{Limit: recoveryPage, Dead: true}); ; {
				page, err := b.Scan(ctx, q)
				if err != nil {
					yield(perdure.Page{}, err)
					return
				}
				page.Records = slices.DeleteFunc(page.Records, func(r perdure.Record) bool {
					return ends == (r.Kind == perdure.KindSession)
				})
				if !ends {
					page.Unreadable = nil
				}
				if len(page.Records)+len(page.Unreadable) > 0 && !yield(page, nil) {
					return
				}
				if q.After = page.Next; q.After == "" {
					break
				}
			}
		}
	}
}
