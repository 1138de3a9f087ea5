package failover

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// mirrorCopy is the directory, beside the journal, that holds a copy of the
// mirror during an outage, so that a restart in the middle of it forgets nobody.
// It is gone when all is well: an old copy would bring back who logged out since.
const mirrorCopy = "mirror"

// outdated is a file in a copy that says that the front store has been served from
// since: who was logged out then is still in it. Such a copy is no more read from;
// it is merged when the front store is there to say who that is.
const outdated = "outdated"

// outdateMirrorCopy marks the copy, before anybody is served by the front store.
// It does not wait for one that is being made. A copy that cannot be marked goes:
// better to forget somebody at a restart than to bring one back. So are those of
// journals that were taken over.
func (b *Backend) outdateMirrorCopy() {
	if b.journal.dir == "" {
		return
	}
	b.marking.Lock()
	defer b.marking.Unlock()
	b.outdated = true
	for _, dir := range b.journal.left {
		if copied := filepath.Join(dir, mirrorCopy); exists(copied) {
			b.markOutdated(copied)
		}
	}
	b.markOutdated(filepath.Join(b.journal.dir, mirrorCopy))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func (b *Backend) markOutdated(copied string) {
	err := os.MkdirAll(copied, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(copied, outdated), nil, 0o600)
	}
	if err != nil {
		err = errors.Join(err, os.RemoveAll(copied))
		b.opts.Logger.Error("the copy of the mirror could not be marked and was removed", "dir", copied, "error", err)
	}
}

// beginMirrorCopy reports whether a copy is wanted, and that it will be of now.
func (b *Backend) beginMirrorCopy() bool {
	b.marking.Lock()
	defer b.marking.Unlock()
	if !b.status.Load().away.all() { // what is there is served from there
		return false
	}
	b.outdated = false
	return true
}

// endMirrorCopy takes the mark off a copy that is complete, unless it was set
// meanwhile, or the copy has more than the mirror.
func (b *Backend) endMirrorCopy() error {
	b.marking.Lock()
	defer b.marking.Unlock()
	if b.outdated || len(b.unread) > 0 {
		return nil
	}
	err := os.Remove(filepath.Join(b.journal.dir, mirrorCopy, outdated))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	return err
}

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
	held, err := b.mirror.Stats(ctx)
	if err != nil || held.Sessions+held.Tombstones == 0 || !b.beginMirrorCopy() {
		return err
	}
	copied := filepath.Join(b.journal.dir, mirrorCopy)
	store, err := b.openMirrorCopy(copied)
	if errors.Is(err, local.ErrDamaged) { // it is but a copy
		if err = os.RemoveAll(copied); err == nil {
			store, err = b.openMirrorCopy(copied)
		}
	}
	if err != nil {
		return err
	}
	defer store.Close()
	merger := perdure.Merger{Backend: store, Clock: b.clock, Codec: b.opts.Codec, Copy: true}
	for page, err := range pages(ctx, b.mirror.Backend) {
		if err != nil {
			return err
		}
		if b.status.Load().state == Healthy || b.closed.Load() {
			return nil
		}
		// An earlier outage may have left a copy, from before somebody was ended.
		for _, merged := range merger.MergeAll(ctx, page.Records) {
			if merged.Err != nil && !refusal(merged.Err) {
				return merged.Err
			}
		}
	}
	return b.endMirrorCopy()
}

// mergeCopies merges the outdated copies that the last life of this process, or
// another process, has left.
func (b *Backend) mergeCopies(ctx context.Context, front perdure.Backend) error {
	b.copying.Lock()
	defer b.copying.Unlock()
	for len(b.unread) > 0 {
		if err := b.mergeCopy(ctx, front, b.unread[0]); err != nil {
			return err
		}
		b.unread = b.unread[1:]
	}
	return nil
}

func (b *Backend) mergeCopy(ctx context.Context, front perdure.Backend, dir string) error {
	store, err := b.openMirrorCopy(dir)
	if err != nil {
		b.opts.Logger.Warn("a copy of the mirror cannot be read", "dir", dir, "error", err)
		return nil
	}
	defer store.Close()
	pace, now := newPace(b.opts.RecoveryRate), perdure.MillisOf(b.opts.Now())
	for page, err := range pages(ctx, store) {
		if err != nil {
			return err
		}
		records := slices.DeleteFunc(page.Records, func(r perdure.Record) bool { return !b.counts(&r, now) || b.forsaken(&r) })
		err = b.mergeAll(ctx, front, records, pace, func(_ []perdure.Record, merged []perdure.Merged) error {
			var taken []perdure.Record
			for i := range merged {
				if merged[i].Err == nil {
					taken = append(taken, merged[i].Record)
				}
			}
			return b.takeAll(ctx, front, taken)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *Backend) openMirrorCopy(dir string) (*local.Backend, error) {
	return local.Open(local.Options{Dir: dir, MaxBytes: b.opts.MaxMirrorBytes, EndReserve: -1, MaxClockSkew: max(b.opts.MaxClockSkew, mirrorSkew), FeedLength: 1, Now: b.opts.Now, Logger: b.opts.Logger})
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
		life := b.journal.lives[dir]
		if marked := exists(filepath.Join(copied, outdated)); marked || !life.recent {
			if !marked {
				b.markOutdated(copied)
				b.opts.Logger.Warn("sessions that this process knew before it was away for long are unavailable until the session store is reached", "dir", copied, "limit", b.opts.MaxDowntime.String())
			}
			b.unread = append(b.unread, copied)
			b.countUnread(copied)
			b.doubt("this process was restarted in a recovery, or after a while")
			continue
		}
		b.mirror.synced.Store(min(b.mirror.synced.Load(), cmp.Or(int64(life.synced), made.ModTime().UnixMilli())))
		if err := b.learnCopy(copied); err != nil {
			b.opts.Logger.Warn("a copy of the mirror cannot be read", "dir", copied, "error", err)
		}
		b.doubt("this process was restarted in an outage")
	}
}

// countUnread counts the sessions in a copy that is held back.
func (b *Backend) countUnread(dir string) {
	store, err := b.openMirrorCopy(dir)
	if err != nil {
		return // who reads it says so
	}
	defer store.Close()
	if stats, err := store.Stats(context.Background()); err == nil {
		b.unreadSessions.Add(stats.Sessions)
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
			r := &page.Records[i]
			if held, behind := b.mirror.learn(r, perdure.Version{}); behind && rotated(r, &held) {
				b.mirror.learn(r, held.Version)
			}
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
		if dir == "" || isDamagedFolder(dir) || !exists(dir) {
			continue
		}
		if dir != b.journal.dir {
			holder, err := openOurs(&b.opts, dir)
			if err != nil {
				continue
			}
			defer holder.Close()
		}
		b.dropSigns(dir)
		if err := os.RemoveAll(copied); err != nil {
			b.opts.Logger.Error("a copy of the mirror cannot be removed: do it by hand before the next start", "dir", copied, "error", err)
		}
	}
}
