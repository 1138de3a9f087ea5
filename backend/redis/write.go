package redis

import (
	"cmp"
	"encoding/binary"
	"strconv"
	"time"

	"github.com/perdure/perdure"
)

// reapEvery and reapGrace say when Redis drops a key by itself, as the last
// resort where nobody sweeps: at the first multiple of reapEvery that is
// reapGrace or more after the record's end. So the sweep finds the header of what
// expired, and the index of a user is seldom given a new end.
const (
	reapEvery = perdure.Millis(6 * time.Hour / time.Millisecond)
	reapGrace = perdure.Millis(time.Hour / time.Millisecond)
)

// reap is when Redis drops the key of a record that ends at a time, in seconds:
// half as long as milliseconds in an index, until 2038. Partitions differ, so that
// not all keys go at once.
func reap(partition int, end, now perdure.Millis) string {
	return strconv.FormatInt(reapAt(partition, end, now), 10)
}

func reapAt(partition int, end, now perdure.Millis) (seconds int64) {
	offset := perdure.Millis(partition) * (reapEvery / perdure.Partitions)
	at := (max(end, now)+reapGrace-offset+reapEvery-1)/reapEvery*reapEvery + offset
	return int64(at / 1000)
}

// encoder makes the keys and arguments of luaApply.
type encoder struct {
	keys    *keyspace
	cluster bool // the keys of one command lie in one partition
	skew    perdure.Millis
	clocks  *clocks
}

// batch adds a batch to a parcel. The batch has passed its Check.
func (e *encoder) batch(p *parcel, batch perdure.Batch, now perdure.Millis) {
	w := &batch[0]
	switch {
	case w.Op == perdure.OpTouch:
		e.touch(p, w)
	case w.Op == perdure.OpRemove:
		e.remove(p, w, now)
	case len(batch) == 1 && e.simple(w):
		p.grows = true
		p.args = append(p.args, "c")
		e.put(p, w, now, true)
	default:
		head, first := len(p.args), len(p.keys)
		p.args = append(p.args, "p", strconv.Itoa(len(batch)), "")
		for i := range batch {
			p.grows = p.grows || batch[i].Record.Kind == perdure.KindSession
			e.put(p, &batch[i], now, false)
		}
		p.args[head+2] = strconv.Itoa(len(p.keys) - first)
	}
}

// simple reports whether the put creates a session that only the user's epoch
// could be in the way of, with a version that is not ahead of the server's clock.
func (e *encoder) simple(w *perdure.Write) bool {
	r := &w.Record
	return r.Kind == perdure.KindSession && r.User != "" && r.Parent == "" && w.Base.IsZero() && w.Epoch.IsZero() &&
		e.clocks.covers(perdure.PartitionOf(r.ID), r.Version, e.skew)
}

// put adds a record, in short or in full. What it has to make anew it makes of
// one string, with one allocation.
func (e *encoder) put(p *parcel, w *perdure.Write, now perdure.Millis, short bool) {
	r := &w.Record
	partition := perdure.PartitionOf(r.ID)
	own := &e.keys.partitions[partition]
	home := own // where the user's index and epoch are
	if !e.cluster && r.User != "" {
		home = &e.keys.partitions[r.User.Partition()]
	}
	due, end := r.Deadline(), e.end(r, now)
	if r.Kind != perdure.KindSession {
		due = end
	}
	c := &p.cutter
	c.add(own.records, r.ID)
	c.add(home.users, string(r.User))
	c.add(home.records, home.hex, ".", string(r.User))
	c.buf = r.Append(c.buf)
	c.cut()
	c.add(reap(partition, end, now))
	c.buf = strconv.AppendInt(c.buf, int64(due), 10)
	c.cut()
	if short {
		c.buf = appendCreation(c.buf, w)
	} else {
		c.buf = append(c.buf, byte(announcement(r.Kind)), byte(cmp.Or(r.Reason, w.Reason)))
	}
	c.cut()
	s := c.strings()
	session, users, epoch, value, reaped, score, change := s[0], s[1], s[2], s[3], s[4], s[5], s[6]
	if short {
		p.keys = append(p.keys, session, users, own.expiry, epoch)
		p.args = append(p.args, value, reaped, score, change)
		return
	}
	p.keys = append(p.keys, session, users, own.expiry, own.tombs, epoch)
	parent := ""
	if r.Parent != "" && (!e.cluster || perdure.PartitionOf(r.Parent) == partition) {
		p.keys = append(p.keys, e.keys.record(r.Parent))
		parent = "1"
	}
	p.args = append(p.args, value, based(w.Base), based(w.Epoch), reaped, score, change, parent)
}

// end is when a record is over: a session at its expiry, but for one that leaves a
// tombstone then, which the key must live to see.
func (e *encoder) end(r *perdure.Record, now perdure.Millis) perdure.Millis {
	if r.Kind != perdure.KindSession || r.Lingers(now, e.skew) {
		return r.Horizon + e.skew
	}
	return r.Expiry
}

func (e *encoder) touch(p *parcel, w *perdure.Write) {
	own := e.keys.of(w.Record.ID)
	c := &p.cutter
	c.add(own.records, w.Record.ID)
	c.buf = appendMillis(c.buf, w.Record.LastAccess)
	c.cut()
	c.buf = append(c.buf, byte(perdure.Touched), byte(w.Reason))
	c.cut()
	s := c.strings()
	p.keys = append(p.keys, s[0])
	p.args = append(p.args, "t", s[1], s[2])
}

func (e *encoder) remove(p *parcel, w *perdure.Write, now perdure.Millis) {
	r := &w.Record
	own := e.keys.of(r.ID)
	value, reaped, due := "", "", ""
	if w.Plant {
		planted := *r
		planted.Kind = perdure.KindTombstone
		drop := r.Horizon + e.skew
		value = string(planted.Append(nil))
		reaped = reap(perdure.PartitionOf(r.ID), drop, now)
		due = decimal(drop)
	}
	p.keys = append(p.keys, own.records+r.ID, own.expiry, own.tombs)
	p.args = append(p.args, "r", own.users, mark(r.Reason, r.Version), value, reaped, due)
}

// appendCreation adds the change that creating a session is, as luaFeed packs it.
func appendCreation(b []byte, w *perdure.Write) []byte {
	r := &w.Record
	b = append(b, 0)
	length := len(b)
	c := perdure.Change{Kind: perdure.Created, Reason: cmp.Or(r.Reason, w.Reason), ID: r.ID, User: r.User, Version: r.Version}
	b = c.Append(b)
	b[length-1] = byte(len(b) - length)
	return b
}

// announcement is the change that storing a record is where nothing was stored.
func announcement(k perdure.Kind) perdure.ChangeKind {
	switch k {
	case perdure.KindTombstone:
		return perdure.Deleted
	case perdure.KindEpoch:
		return perdure.UserRevoked
	}
	return perdure.Created
}

// mark is the reason and version of a tombstone, as luaCommon takes them.
func mark(why perdure.Reason, v perdure.Version) string {
	return string(appendVersion([]byte{byte(why)}, v))
}

// based is a version to compare with; empty for none.
func based(v perdure.Version) string {
	if v.IsZero() {
		return ""
	}
	return string(appendVersion(nil, v))
}

func appendVersion(b []byte, v perdure.Version) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(b, v.Time), v.Node)
}

func appendMillis(b []byte, m perdure.Millis) []byte {
	return append(b, byte(m>>40), byte(m>>32), byte(m>>24), byte(m>>16), byte(m>>8), byte(m))
}

func decimal(m perdure.Millis) string { return strconv.FormatInt(int64(m), 10) }

// cutter builds several strings in one.
type cutter struct {
	buf  []byte
	ends [7]int
	n    int
}

func (c *cutter) add(parts ...string) {
	for _, part := range parts {
		c.buf = append(c.buf, part...)
	}
	c.cut()
}

// cut ends a string.
func (c *cutter) cut() {
	c.ends[c.n] = len(c.buf)
	c.n++
}

// strings returns what was built, and begins anew.
func (c *cutter) strings() (cuts [len(cutter{}.ends)]string) {
	all, from := string(c.buf), 0
	for i, end := range c.ends[:c.n] {
		cuts[i] = all[from:end]
		from = end
	}
	c.buf, c.n = c.buf[:0], 0
	return cuts
}
