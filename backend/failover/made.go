package failover

import (
	"context"
	"fmt"
)

// JournalError says that the journal cannot be opened, and where it was to be.
type JournalError struct {
	Dir string
	Err error
}

func (e *JournalError) Error() string {
	return fmt.Sprintf("the journal of what is written in an outage cannot be opened in %s: %v", e.Dir, e.Err)
}

func (e *JournalError) Unwrap() error { return e.Err }

// tryJournal finds out, before there is an outage, whether the journal takes writes, and
// has it set aside what logouts need on a disk that is full later.
func (b *Backend) tryJournal(ctx context.Context) {
	if b.journal.dir == "" {
		return
	}
	err := b.journal.PingFile(ctx)
	if err != nil {
		b.opts.Logger.Error("the journal takes no writes: an outage now would be read-only", "error", err)
	}
	b.journalTook(err)
}

// afterMaking gives a journal whose data file was made anew, with its directory perhaps,
// the files beside it that a start in this outage needs.
func (b *Backend) afterMaking() {
	b.spawn(func() {
		if err := b.rewriteFiles(); err != nil {
			b.opts.Logger.Warn("a file beside the journal cannot be written: what was written in this outage may be unavailable after a restart in it", "error", err)
		}
		b.sign()
		b.persistMirror()
	})
}

// rewriteFiles writes what says whose the journal is, and which of its stamps are to be
// set right.
func (b *Backend) rewriteFiles() error {
	if err := identify(&b.opts, b.journal.dir); err != nil {
		return err
	}
	b.time.mu.Lock()
	defer b.time.mu.Unlock()
	lives := b.time.earlier
	if len(b.time.present.nodes) > 0 {
		lives = append(lives[:len(lives):len(lives)], b.time.present)
	}
	for i := range lives {
		if err := b.journal.writeAdrift(&lives[i]); err != nil {
			return err
		}
	}
	return nil
}
