package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure/perdure"
	"github.com/redis/rueidis"
)

// timekeeper knows the server's clock: it goes on by this machine's monotonic one
// from what the server said last, whatever the clock on the wall does. In a Cluster
// it is that of the master of the first partition.
type timekeeper struct {
	mu   sync.Mutex // of who sets it
	last atomic.Pointer[moment]
}

// moment is what the server's clock showed when the monotonic one showed began.
type moment struct{ server, began time.Time }

// newTimekeeper goes by this machine's clock until the server has said anything.
func newTimekeeper() *timekeeper {
	k := &timekeeper{}
	now := time.Now()
	k.last.Store(&moment{server: now.Round(0), began: now})
	return k
}

func (k *timekeeper) now() time.Time {
	m := k.last.Load()
	return m.server.Add(time.Since(m.began))
}

// saw takes in what the server's clock showed at some time between sent and received.
// If that may be what is known already, it stays: a reply that took long says little.
func (k *timekeeper) saw(server, sent, received time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m := k.last.Load()
	took := received.Sub(sent)
	if off := m.server.Add(received.Sub(m.began)).Sub(server); off < 0 || off > took {
		k.last.Store(&moment{server: server.Add(took / 2), began: received})
	}
}

// Now is the time by the server's clock.
func (b *Backend) Now() time.Time { return b.time.now() }

func (b *Backend) now() perdure.Millis { return perdure.MillisOf(b.time.now()) }

// timeInterval is how often the server is asked for the time, besides when a
// connection was made: it may be another server.
const timeInterval = 10 * time.Second

// startTime asks for the time first: in a Cluster any other master, if that of the first
// partition is away.
func (b *Backend) startTime(ctx context.Context) error {
	if !b.link.cluster {
		return b.timeOr(b.measure(ctx, 0))
	}
	first, cancel := context.WithTimeout(ctx, b.link.timeout/2)
	defer cancel()
	err := b.measure(first, 0)
	if err == nil || errors.Is(err, errNoTime) {
		return b.timeOr(err)
	}
	const asked = 16 // of as many parts of the slots
	others := make(chan error, asked)
	for i := range asked {
		go func() { others <- b.measure(ctx, i*perdure.Partitions/asked) }()
	}
	for range asked {
		if err = <-others; err == nil {
			break
		}
	}
	return b.timeOr(err)
}

// timeOr has this machine's clock stand in for one that the server does not tell.
func (b *Backend) timeOr(err error) error {
	if errors.Is(err, errNoTime) {
		b.options.Logger.Error("sessions go by this machine's clock", "error", err)
		return nil
	}
	return err
}

// keepTime asks the server for the time now and then, until the backend is closed.
func (b *Backend) keepTime() {
	ticker := time.NewTicker(timeInterval)
	defer ticker.Stop()
	for {
		select {
		case <-b.link.closing:
			return
		case <-b.gate.fresh:
		case <-ticker.C:
		}
		_ = b.measure(b.link.life, 0) // while it is away, the time goes on
	}
}

// errNoTime says that the server does not tell this user the time. This machine's
// clock stands in for it; hardly a write will go anyway, for scripts ask for it too.
var errNoTime = fmt.Errorf("%w: redis does not tell this user the time: allow it +time", perdure.ErrUnavailable)

// noCommand reports whether a reply says that there is no such command for this user.
func noCommand(reply string) bool {
	return strings.HasPrefix(reply, "NOPERM") || strings.Contains(reply, "unknown command") || strings.Contains(reply, "user executing the script can't")
}

// measure asks the server for the time, in a Cluster that of a partition.
func (b *Backend) measure(ctx context.Context, partition int) error {
	ask := command([]string{"TIME"})
	if b.link.cluster { // by a script, which goes where its key is
		ask = call{script: b.scripts.time, keys: []string{b.keys.partitions[partition].health}}
	}
	sent := time.Now()
	results, err := b.link.do(ctx, ask)
	if err != nil {
		return err
	}
	received := time.Now()
	reply, err := b.link.message(results[0])
	if refused, ok := rueidis.IsRedisErr(results[0].Error()); ok && noCommand(refused.Error()) {
		return errNoTime
	}
	if err != nil {
		return err
	}
	parts, err := reply.AsStrSlice()
	if err != nil || len(parts) != 2 {
		return failure(errGarbage)
	}
	seconds, _ := strconv.ParseInt(parts[0], 10, 64)
	micros, _ := strconv.ParseInt(parts[1], 10, 64)
	server := time.UnixMicro(seconds*1e6 + micros)
	b.time.saw(server, sent, received)
	if !b.link.cluster {
		b.clocks.saw(0, perdure.MillisOf(server))
	}
	return nil
}
