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

// MaxMillis is the greatest that a record can hold.
const MaxMillis Millis = 1<<48 - 1

// Time is the point in time in UTC.
func (m Millis) Time() time.Time { return time.UnixMilli(int64(m)).UTC() }

// MillisOf rounds t down to the millisecond.
func MillisOf(t time.Time) Millis { return Millis(t.UnixMilli()) }

// Timekeeper is implemented by a backend that knows the time by the clock of the
// store that all share. What is stamped and what is judged goes by that clock: that
// of one machine may be wrong for a while, and then right again.
type Timekeeper interface {
	// Now is that time, as far as this process knows it. It is asked in every call:
	// it takes no lock, makes no round trip, and goes on while the store is away.
	Now() time.Time
}

// TimeOf is the clock to go by with a backend: that of its store, or, if neither it
// nor what it wraps is a Timekeeper, the machine's (nil means time.Now).
func TimeOf(b Backend, machine func() time.Time) func() time.Time {
	if keeper, ok := As[Timekeeper](b); ok {
		return keeper.Now
	}
	if machine == nil {
		return time.Now
	}
	return machine
}

// Clock is a hybrid logical clock: close to physical time, never behind a
// version it has issued or was shown. It is safe for concurrent use.
//
// Where physical time is set back by more than half the skew that backends
// allow, the clock follows it under a new node id: it would else issue versions
// that are refused until time has caught up.
type Clock struct {
	now  func() time.Time
	face atomic.Pointer[face]
}

// face is what a clock has shown last, under one node id.
type face struct {
	node uint32
	last atomic.Uint64
}

const maxLead = uint64(DefaultMaxClockSkew/time.Millisecond) / 2 << 16

// NewClock makes a clock over now (nil means time.Now) with a random node id.
func NewClock(now func() time.Time) *Clock {
	if now == nil {
		now = time.Now
	}
	c := &Clock{now: now}
	c.face.Store(newFace())
	return c
}

func newFace() *face {
	var b [4]byte
	rand.Read(b[:]) // never fails: it ends the program instead
	return &face{node: binary.BigEndian.Uint32(b[:])}
}

// Now is the physical time.
func (c *Clock) Now() Millis { return MillisOf(c.now()) }

// Tick issues a version later than each of seen and, unless physical time was
// set back, than every version this clock issued.
func (c *Clock) Tick(seen ...Version) Version {
	now := uint64(c.Now()) << 16
	floor := now
	for _, v := range seen {
		floor = max(floor, v.Time+1)
	}
	for {
		f := c.face.Load()
		last := f.last.Load()
		if last > now+maxLead && last >= floor {
			c.face.CompareAndSwap(f, newFace())
			continue
		}
		next := max(floor, last+1)
		if f.last.CompareAndSwap(last, next) {
			return Version{Time: next, Node: f.node}
		}
	}
}

// TickOver issues the last version of the present millisecond: later than what
// any node issues in it, as far as their clocks agree.
func (c *Clock) TickOver() Version {
	v := c.Tick()
	v.Time |= 0xffff
	c.Tick(v)
	return v
}
