package local

import (
	"context"
	"fmt"

	"github.com/perdure/perdure"
)

// usualSize is what a session with some metadata takes, with room to spare.
const usualSize = 4 << 10

// usual is usualSize, or in a small backend less.
func (o *Options) usual() int64 { return min(usualSize, o.MaxBytes/64) }

// sessionBytes is up to where records may take memory for a session to be stored. The rest
// is kept for tombstones.
func (o *Options) sessionBytes() int64 { return o.MaxBytes - o.MaxBytes/16 }

// Room returns an ErrFull if a new session of the usual size would not fit in the bound on
// memory. Once that is so it stays so until there is room for some more: each logout makes
// a little, and the next login takes it.
func (b *Backend) Room() error {
	usual, limit := b.opts.usual(), b.opts.sessionBytes()
	need := usual
	if b.full.Load() {
		need = max(4*usual, limit/256)
	}
	used := b.bytes.Load()
	short := limit-used < need
	b.full.Store(short)
	if !short {
		return nil
	}
	return fmt.Errorf("%w: %d of %d bytes are in use, and a new session would not fit; raise the bound on memory (MaxBytes; of the daemon, PERDURE_MAX_MEMORY) or end sessions",
		perdure.ErrFull, used, limit)
}

// PingFile is Ping but for Room: it returns nil if the data file, where there is one, takes
// a write.
func (b *Backend) PingFile(ctx context.Context) error {
	if err := b.ready(ctx); err != nil || b.committer == nil {
		return err
	}
	return b.committer.do(ctx, pingCommand{})
}
