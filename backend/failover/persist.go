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
	if b.journal.dir == "" {
		return
	}
	b.spawn(func() {
		if err := b.writeMirror(context.Background()); err != nil {
			b.opts.Logger.Warn("the mirror could not be kept on disk; a restart in this outage forgets it", "error", err)
		}
	})
}

func (b *Backend) writeMirror(ctx context.Context) error {
	b.copying.Lock()
	defer b.copying.Unlock()
	store, err := b.openMirrorCopy(filepath.Join(b.journal.dir, mirrorCopy))
	if err != nil {
		return err
	}
	defer store.Close()
	for page, err := range pages(ctx, b.mirror.Backend) {
		if err != nil {
			return err
		}
		if b.status.Load().state == Healthy || b.closed.Load() {
			return nil
		}
		// An earlier outage may have left a copy, from before somebody was ended.
		for _, merged := range b.merger(store).MergeAll(ctx, page.Records) {
			if merged.Err != nil && !refusal(merged.Err) {
				return merged.Err
			}
		}
	}
	return nil
}

func (b *Backend) openMirrorCopy(dir string) (*local.Backend, error) {
	return local.Open(local.Options{Dir: dir, MaxBytes: b.opts.MaxMirrorBytes, MaxClockSkew: max(b.opts.MaxClockSkew, mirrorSkew), FeedLength: 1, Now: b.opts.Now, Logger: b.opts.Logger})
}

// restoreMirror reads the copies that an outage left whose end nobody saw: of
// this process's last life, and of those whose journals it has taken over.
func (b *Backend) restoreMirror() {
	for _, dir := range append(b.journal.left, b.journal.dir) {
		copied := filepath.Join(dir, mirrorCopy)
		made, err := os.Stat(copied)
		if dir == "" || err != nil {
			continue
		}
		b.mirror.synced.Store(min(b.mirror.synced.Load(), made.ModTime().UnixMilli()))
		if err := b.learnCopy(copied); err != nil {
			b.opts.Logger.Warn("a copy of the mirror cannot be read", "dir", copied, "error", err)
		}
		b.doubt("this process was restarted in an outage")
	}
}

func (b *Backend) learnCopy(dir string) error {
	store, err := b.openMirrorCopy(dir)
	if err != nil {
		return err
	}
	defer store.Close()
	for page, err := range pages(context.Background(), store) {
		if err != nil {
			return err
		}
		b.mirror.missed.Add(int64(len(page.Unreadable)))
		for i := range page.Records {
			b.mirror.learn(&page.Records[i], perdure.Version{})
		}
	}
	return nil
}

// dropMirrorCopies removes the copies when the outage is over, but for those of
// folders that other processes have taken meanwhile.
func (b *Backend) dropMirrorCopies() {
	b.copying.Lock()
	defer b.copying.Unlock()
	for _, dir := range append(b.journal.left, b.journal.dir) {
		copied := filepath.Join(dir, mirrorCopy)
		if _, err := os.Stat(copied); dir == "" || err != nil {
			continue
		}
		if dir != b.journal.dir {
			holder, err := openLocal(&b.opts, dir)
			if err != nil {
				continue
			}
			defer holder.Close()
		}
		if err := os.RemoveAll(copied); err != nil {
			b.opts.Logger.Error("a copy of the mirror cannot be removed: do it by hand before the next start", "dir", copied, "error", err)
		}
	}
}
