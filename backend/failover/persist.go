package failover

import (
	"context"
	"os"
	"path/filepath"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// mirrorCopy is the directory, beside the journal, that holds a copy of the
// mirror during an outage, so that a restart in the middle of it forgets nobody.
// It is gone when all is well: an old copy would bring back who logged out since.
const mirrorCopy = "mirror"

// persistMirror writes the mirror to disk in the background.
func (b *Backend) persistMirror() {
	if b.opts.Dir == "" || b.closed.Load() {
		return
	}
	b.running.Go(func() {
		if err := b.writeMirror(context.Background()); err != nil {
			b.opts.Logger.Warn("the mirror could not be kept on disk; a restart in this outage forgets it", "error", err)
		}
	})
}

func (b *Backend) writeMirror(ctx context.Context) error {
	b.copying.Lock()
	defer b.copying.Unlock()
	store, err := b.openMirrorCopy()
	if err != nil {
		return err
	}
	defer store.Close()
	for records, err := range pages(ctx, b.mirror.Backend) {
		if err != nil {
			return err
		}
		if b.status.Load().state == Healthy || b.closed.Load() {
			return nil
		}
		batches := make([]perdure.Batch, len(records))
		for i, r := range records {
			batches[i] = perdure.Batch{{Op: perdure.OpPut, Record: r, Epoch: b.mirror.epochOf(&r)}}
		}
		if _, err := store.Apply(ctx, batches); err != nil {
			return err
		}
	}
	return nil
}

func (b *Backend) openMirrorCopy() (*local.Backend, error) {
	return local.Open(local.Options{Dir: filepath.Join(b.opts.Dir, mirrorCopy), MaxBytes: b.opts.MaxMirrorBytes, FeedLength: 1, Now: b.opts.Now})
}

// restoreMirror reads the copy that an outage left which this process did not
// see the end of.
func (b *Backend) restoreMirror() {
	dir := filepath.Join(b.opts.Dir, mirrorCopy)
	if _, err := os.Stat(dir); b.opts.Dir == "" || err != nil {
		return
	}
	store, err := b.openMirrorCopy()
	if err != nil {
		b.opts.Logger.Warn("the copy of the mirror cannot be read", "error", err)
		return
	}
	defer store.Close()
	for records, err := range pages(context.Background(), store) {
		if err != nil {
			return
		}
		for i := range records {
			b.mirror.learn(&records[i], perdure.Version{})
		}
		b.doubt("this process was restarted in an outage")
	}
}

// dropMirrorCopy removes the copy when the outage is over.
func (b *Backend) dropMirrorCopy() {
	if b.opts.Dir == "" {
		return
	}
	b.copying.Lock()
	defer b.copying.Unlock()
	if err := os.RemoveAll(filepath.Join(b.opts.Dir, mirrorCopy)); err != nil {
		b.opts.Logger.Error("the copy of the mirror cannot be removed: do it by hand before the next start", "error", err)
	}
}
