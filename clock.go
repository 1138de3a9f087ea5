package perdure

import (
	"crypto/rand"
	"encoding/binary"
	"sync/atomic"
	"time"
)

// Millis is a point in time in milliseconds since the Unix epoch, or a length
// of time in milliseconds. Records hold 48 bits of it (until the year 10889).
type Millis int64

// Time is the point in time in UTC.
func (m Millis) Time() time.Time { return time.UnixMilli(int64(m)).UTC() }

// MillisOf rounds t down to the millisecond.
func MillisOf(t time.Time) Millis { return Millis(t.UnixMilli()) }

// Clock is a hybrid logical clock: close to physical time, never behind a
// version it has issued or was shown. It is safe for concurrent use.
type Clock struct {
	now  func() time.Time
	node uint32
	last atomic.Uint64
}

// NewClock makes a clock over now (nil means time.Now) with a random node id.
func NewClock(now func() time.Time) *Clock {
	if now == nil {
		now = time.Now
	}
	var b [4]byte
	rand.Read(b[:]) // never fails: it ends the program instead
	return &Clock{now: now, node: binary.BigEndian.Uint32(b[:])}
}

// Now is the physical time.
func (c *Clock) Now() Millis { return MillisOf(c.now()) }

// Tick issues a version later than every version this clock issued and than
// each of seen, and not behind physical time.
func (c *Clock) Tick(seen ...Version) Version {
	floor := uint64(c.Now()) << 16
	for _, v := range seen {
		floor = max(floor, v.Time+1)
	}
	for {
		last := c.last.Load()
		next := max(floor, last+1)
		if c.last.CompareAndSwap(last, next) {
			return Version{Time: next, Node: c.node}
		}
	}
}
