package redis

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"github.com/perdure/perdure"
)

// position is where a reader of one feed is: at its entry of this id, of which it
// has read so many changes, be it none or all. The zero position is that of a
// reader that found the feed empty.
//
// A reader asks for the entry at its position again. Where that is not the first
// that it gets, entries after it may be gone too.
type position struct {
	ms, seq uint64
	read    int
}

func (p position) isZero() bool { return p.ms == 0 && p.seq == 0 }

// compare orders by the place in a stream.
func (p position) compare(q position) int {
	return cmp.Or(cmp.Compare(p.ms, q.ms), cmp.Compare(p.seq, q.seq), cmp.Compare(p.read, q.read))
}

// meets reports whether the entry that is found, with its number of changes, is
// the one at the position.
func (p position) meets(found position, changes int) bool {
	return p.ms == found.ms && p.seq == found.seq && p.read <= changes
}

// id is the stream id.
func (p position) id() string {
	return strconv.FormatUint(p.ms, 10) + "-" + strconv.FormatUint(p.seq, 10)
}

// previous is the id before, after which the entry at the position comes first.
func (p position) previous() string {
	switch {
	case p.seq > 0:
		p.seq--
	case p.ms > 0:
		p.ms, p.seq = p.ms-1, math.MaxUint64
	}
	return p.id()
}

// parsePosition reads a stream id.
func parsePosition(id string) (p position, ok bool) {
	ms, seq, _ := strings.Cut(id, "-")
	var bad1, bad2 error
	p.ms, bad1 = strconv.ParseUint(ms, 10, 64)
	p.seq, bad2 = strconv.ParseUint(seq, 10, 64)
	return p, bad1 == nil && bad2 == nil
}

// positions are those in all feeds.
type positions []position

// cursorFormat counts the layouts of cursors. Format 1 was of 256 feeds on every
// server, with an entry for each change.
const cursorFormat = 2

// String is the cursor: a format byte, the earliest time, then for each feed 0 for
// the zero position, else the time since then plus one, the sequence number, and
// how many changes were read; all numbers but the first of variable length; in
// base64url.
func (ps positions) String() string {
	base := uint64(math.MaxUint64)
	for _, p := range ps {
		if !p.isZero() {
			base = min(base, p.ms)
		}
	}
	if base == math.MaxUint64 {
		base = 0
	}
	b := binary.AppendUvarint([]byte{cursorFormat}, base)
	for _, p := range ps {
		if p.isZero() {
			b = append(b, 0)
			continue
		}
		b = binary.AppendUvarint(b, p.ms-base+1)
		b = binary.AppendUvarint(b, p.seq)
		b = binary.AppendUvarint(b, uint64(p.read))
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// maxCursor is more than the longest cursor takes, maxEntry more than an entry has
// changes.
const (
	maxCursor = 8192
	maxEntry  = 1 << 16
)

// parsePositions reads what String wrote. Of a cursor of format 1 it returns no
// positions, which fit no feed. It returns an ErrInvalid.
func parsePositions(cursor string) (positions, error) {
	none := invalid("cursor", "is not one of this change feed; give the Next of a batch, or %q", perdure.FromOldest)
	if len(cursor) > maxCursor {
		return nil, none
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) == 0 {
		return nil, none
	}
	if b[0] == 1 && len(b) > perdure.Partitions {
		return nil, nil
	}
	numbers, ok := uvarints(b[1:])
	if !ok || len(numbers) == 0 {
		return nil, none
	}
	base, numbers := numbers[0], numbers[1:]
	var ps positions
	for len(numbers) > 0 {
		if numbers[0] == 0 {
			ps, numbers = append(ps, position{}), numbers[1:]
			continue
		}
		if len(numbers) < 3 || numbers[2] > maxEntry {
			return nil, none
		}
		ps = append(ps, position{ms: base + numbers[0] - 1, seq: numbers[1], read: int(numbers[2])})
		numbers = numbers[3:]
	}
	if len(ps) != 1 && len(ps) != perdure.Partitions || ps.String() != cursor { // whatever else is wrong with it
		return nil, none
	}
	return ps, nil
}

// uvarints reads numbers of variable length, and reports whether that is all
// there is.
func uvarints(b []byte) (numbers []uint64, ok bool) {
	for len(b) > 0 {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return nil, false
		}
		numbers, b = append(numbers, n), b[size:]
	}
	return numbers, true
}
