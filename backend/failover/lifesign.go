package failover

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/perdure/perdure"
)

// signFile is a file beside a journal that says, while there is an outage, that its
// process lives. It is gone when all is well: a journal without one is empty.
const signFile = "alive"

// maxSign bounds what is read of it.
const maxSign = 4 << 10

// lifeSign says when the process of a journal last lived in an outage, and what can be
// told of what is on its disk.
type lifeSign struct {
	// At is when it was written, by the machine's clock: the next life has no other.
	At perdure.Millis `json:"at"`
	// Cut is true while nobody was served by the front store since what is on disk was
	// written: it is as true as when the outage began.
	Cut bool `json:"cut"`
	// Synced is when the mirror was last in step with the front store.
	Synced perdure.Millis `json:"synced"`
	// Waited is for how long the first record of the journal had waited then: no clock
	// that was set since changes that.
	Waited perdure.Millis `json:"waited,omitempty"`
}

// readSign reads what writeSign wrote. What is damaged says nothing.
func readSign(dir string) (lifeSign, error) {
	file, err := os.Open(filepath.Join(dir, signFile))
	if err != nil {
		return lifeSign{}, err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, maxSign+1))
	if err != nil {
		return lifeSign{}, err
	}
	return decodeSign(content)
}

func decodeSign(content []byte) (s lifeSign, err error) {
	if len(content) > maxSign {
		return lifeSign{}, fmt.Errorf("%w: a sign of life has more than %d bytes", perdure.ErrFormat, maxSign)
	}
	if err := json.Unmarshal(content, &s); err != nil {
		return lifeSign{}, fmt.Errorf("%w: a sign of life is damaged", perdure.ErrFormat)
	}
	if s.At < 0 || s.At > perdure.MaxMillis || s.Synced < 0 || s.Synced > perdure.MaxMillis || s.Waited < 0 || s.Waited > perdure.MaxMillis {
		return lifeSign{}, fmt.Errorf("%w: a sign of life is from no time", perdure.ErrFormat)
	}
	return s, nil
}

func writeSign(dir string, s lifeSign) error {
	content, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(dir, signFile), append(content, '\n'))
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, content []byte) error {
	next := path + ".new"
	if err := os.WriteFile(next, content, 0o600); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return os.Rename(next, path)
}

// recent reports whether a process that left this sign has stopped so short a while ago
// that what it kept on disk can be served. A clock that went back tells nothing.
func (s lifeSign) recent(now perdure.Millis, most time.Duration) bool {
	return s.Cut && s.At <= now && (now-s.At) <= perdure.Millis(most.Milliseconds())
}

// signEvery is the time between two signs of life.
func (o *Options) signEvery() time.Duration {
	return max(min(o.MaxDowntime/10, 10*time.Second), 100*time.Millisecond)
}

// signLife keeps the sign fresh until ctx ends, and leaves a last one.
func (b *Backend) signLife(ctx context.Context) {
	ticker := time.NewTicker(b.opts.signEvery())
	defer ticker.Stop()
	for {
		b.sign()
		b.lookAround()
		select {
		case <-ctx.Done():
			b.sign()
			return
		case <-ticker.C:
		}
	}
}

// sign leaves a sign of life, if there is an outage or a recovery.
func (b *Backend) sign() {
	b.signing.Lock()
	defer b.signing.Unlock()
	if b.journal.dir == "" || b.status.Load().state == Healthy || b.standby.Load() {
		return
	}
	if b.journal.stale.len() > 0 && !b.journal.unlisted && !exists(filepath.Join(b.journal.dir, staleFile)) {
		b.journal.listStale(&b.opts) // it was removed: no sign without it
	}
	b.cutOff = b.cutOff && !b.journal.unlisted
	err := writeSign(b.journal.dir, lifeSign{At: b.time.shown(), Cut: b.cutOff, Synced: perdure.Millis(b.mirror.synced.Load()), Waited: perdure.Millis(b.journal.age().Milliseconds())})
	if failed := err != nil; failed != b.unsigned {
		if b.unsigned = failed; failed {
			b.opts.Logger.Warn("no sign of life can be left beside the journal: after a restart in this outage its sessions are unavailable until it is over", "error", err)
		}
	}
}

// noteFirst notes that something has been written to the journal: of the first a sign is
// left at once, so that a start in this outage knows how long it has waited.
func (b *Backend) noteFirst() {
	if b.journal.noted() && b.journal.dir != "" {
		b.spawn(b.sign)
	}
}

// distrustDisk takes back that what is on disk can be served by this process's next
// life: it is about to be served by the front store, so that others may end what is
// still there.
func (b *Backend) distrustDisk() {
	b.signing.Lock()
	b.cutOff = false
	b.distrusts++
	b.signing.Unlock()
	b.sign()
	b.outdateMirrorCopy()
}

// distrusted is how often the disk was distrusted.
func (b *Backend) distrusted() int {
	b.signing.Lock()
	defer b.signing.Unlock()
	return b.distrusts
}

// trustDisk has the disk agree with the mirror again, in the background, and then says
// so in the sign of life, unless it was distrusted since that was seen: at once where
// the journal was known to be empty until now.
func (b *Backend) trustDisk(seen int, empty bool) {
	b.signing.Lock()
	b.cutOff = b.cutOff || empty && seen == b.distrusts && !b.journal.unlisted
	b.signing.Unlock()
	b.sign()
	b.persistMirror()
	b.spawn(func() {
		if err := b.endJournalled(b.life); err != nil {
			b.opts.Logger.Warn("the journal cannot be trusted after a restart in this outage", "error", err)
			return
		}
		b.signing.Lock()
		if seen == b.distrusts {
			b.cutOff = !b.journal.unlisted
		}
		b.signing.Unlock()
		b.sign()
	})
}

// dropSigns takes away the signs of life, and what goes with them, when the outage is
// over.
func (b *Backend) dropSigns(dir string) {
	b.signing.Lock()
	defer b.signing.Unlock()
	if b.status.Load().state != Healthy {
		return
	}
	for _, name := range []string{signFile, staleFile} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			b.opts.Logger.Warn("a file beside the journal cannot be removed", "error", err)
		}
	}
}

// endJournalled ends in the journal what the mirror knows to have ended: in a recovery
// that was cut short others may have ended what still waited to be merged. Then the disk
// is as true as this process.
func (b *Backend) endJournalled(ctx context.Context) error {
	if b.journal.dir == "" {
		return nil
	}
	if err := b.journal.Sync(ctx); err != nil {
		return err
	}
	for page, err := range pages(ctx, b.journal.Backend) {
		if err != nil {
			return err
		}
		for i := range page.Records {
			tomb, err := b.mirror.Get(ctx, page.Records[i].ID)
			if err == nil && tomb.Ended() && page.Records[i].Kind == perdure.KindSession {
				_, err = b.merger(b.journal).Merge(ctx, tomb)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}
