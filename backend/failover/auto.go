package failover

import (
	"context"
	"fmt"
	"time"

	"github.com/perdure/perdure"
)

const (
	// autoShare is the part of its bytes that an automatic mirror is full within.
	autoShare = 4
	// leastRecord is about what a record takes at least. It keeps a mirror from
	// beginning to read what cannot fit.
	leastRecord = 400
	// reviewEvery is how often an automatic mirror that is not full looks whether it
	// could be.
	reviewEvery = 10 * time.Second
)

// kept is what the mirror keeps, and why.
func (m *mirror) kept() (Mirror, string) {
	kept, why := MirrorSeen, "it is set so"
	if m.full.Load() {
		kept = MirrorFull
	}
	if said := m.why.Load(); *said != "" {
		why = *said
	}
	return kept, why
}

// turn makes the mirror full, or not.
func (m *mirror) turn(full bool, why string) {
	if !full {
		m.whole.Store(false)
		m.loaded.Store(false)
	}
	m.why.Store(&why)
	m.full.Store(full)
}

// outgrown has a mirror that is full of its own accord be so no more, if what it holds
// is past its share. It becomes full again when a quarter less is stored than that.
func (m *mirror) outgrown() bool {
	if m.mode != MirrorAuto || !m.full.Load() {
		return false
	}
	held, err := m.Stats(context.Background())
	if err != nil || held.Bytes <= m.room {
		return false
	}
	m.fits.Store(m.room * (held.Sessions + held.Tombstones) / held.Bytes / 4 * 3)
	m.turn(false, "what is stored takes more than a quarter of the memory allowed, "+mebibytes(m.room))
	return true
}

// review decides whether an automatic mirror is full, and reports whether it has
// become so. What is stored is counted; how large it is shows once it is read.
func (b *Backend) review(ctx context.Context, front perdure.Backend) (begun bool) {
	m := b.mirror
	if m.mode != MirrorAuto || m.full.Load() {
		m.outgrown()
		return false
	}
	stats, err := front.Stats(ctx)
	if err != nil {
		return false // it will be asked again
	}
	if n := stats.Sessions + stats.Tombstones; n > m.fits.Load() {
		m.turn(false, fmt.Sprintf("%d records are stored: more than fit a quarter of the memory allowed", n))
		return false
	}
	m.turn(true, "what is stored fits a quarter of the memory allowed, "+mebibytes(m.room))
	return true
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20)) }
