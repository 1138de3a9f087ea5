package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"

	"github.com/perdure/perdure"
)

const (
	// compactFrom is the least size of a data file that a start looks at, and
	// compactRatio how many times what its records take it is to be compacted: twice
	// that is what a file takes that is in use.
	compactFrom  = 1 << 20
	compactRatio = 4
	// compactBatch is how many bytes of records a step of a compaction copies.
	compactBatch = 4 << 20
	// mostCompaction bounds a compaction whose context has no deadline.
	mostCompaction = time.Hour
)

// Compacted says what a compaction came to, in bytes of the data file.
type Compacted struct {
	Before int64 `json:"before"`
	After  int64 `json:"after"`
}

// Compact writes the data file anew, without the room of records that are gone. Writes
// wait for it, reads do not. A crash leaves the file as it was or as it is to be. A
// start does it where most of a file is room. In memory alone there is nothing to do.
func (b *Backend) Compact(ctx context.Context) (Compacted, error) {
	if err := b.ready(ctx); err != nil || b.committer == nil {
		return Compacted{}, err
	}
	if _, ok := ctx.Deadline(); !ok { // Options.Timeout is for a write
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, mostCompaction)
		defer cancel()
	}
	c := &compactCommand{}
	if err := b.committer.do(ctx, c); err != nil {
		return Compacted{}, err
	}
	return c.done, c.err
}

// compactCommand compacts the file in the place of what would be committed.
type compactCommand struct {
	syncCommand
	done Compacted
	err  error
}

func (*compactCommand) indexed() bool { return true } // it begins a group

func (c *compactCommand) run(s *stage) {
	c.done.Before = s.b.fileSize()
	c.err = s.b.file.compact()
	c.done.After = s.b.fileSize()
}

// compactAtStart compacts a file that is mostly room. What comes in its way, such as a
// full disk, is no reason not to start.
func (b *Backend) compactAtStart(records int64) {
	before := b.fileSize()
	if b.file.reserved {
		records += int64(b.file.reserve)
	}
	if before < compactFrom || before < compactRatio*records {
		return
	}
	if err := b.file.compact(); err != nil {
		b.opts.Logger.Warn("the data file could not be compacted: it is used as it is", "file", b.file.path, "bytes", before, "error", err)
		return
	}
	b.opts.Logger.Info("the data file was compacted", "file", b.file.path, "before", before, "after", b.fileSize())
}

// compact copies what the file holds into a new one, which then takes its name. An error
// is an ErrUnavailable; the file is then as it was.
func (f *file) compact() error {
	if f.failed != nil || f.db == nil {
		return f.failed
	}
	if err := f.keepName(); err != nil {
		return err
	}
	if err := f.guard(f.rewrite); err != nil {
		return fmt.Errorf("%w: the data file %s cannot be compacted: %w; make room for a second one on its disk, and see that this user can write there", perdure.ErrUnavailable, f.path, err)
	}
	return nil
}

func (f *file) rewrite() error {
	fresh := file{path: f.path + ".new"}
	if err := fresh.start(time.Millisecond); err != nil {
		return errors.Join(err, os.Remove(fresh.path))
	}
	err := bbolt.Compact(fresh.db, f.db, compactBatch)
	if err == nil {
		err = os.Rename(fresh.path, f.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(fresh.path), fresh.db.Close())
	}
	old := f.db
	f.db, f.handle = fresh.db, fresh.handle
	_ = old.Close() // it has no name any more
	return syncDir(filepath.Dir(f.path))
}

// start opens a new database of no records under a name, whatever is left there of one
// that was cut short.
func (f *file) start(lockWait time.Duration) (err error) {
	f.db, err = openDB(f.path, lockWait, &f.handle, func(handle *os.File) error {
		if err := lock(handle, lockWait); err != nil {
			return err
		}
		if !f.named() { // who had it has just given it its name
			return errMoved
		}
		return handle.Truncate(0)
	})
	return err
}

// named reports whether the file that is open is the one of its name.
func (f *file) named() bool {
	own, err := f.handle.Stat()
	if err != nil {
		return false
	}
	found, err := os.Stat(f.path)
	return err == nil && os.SameFile(own, found)
}
