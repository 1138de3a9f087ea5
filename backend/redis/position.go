package redis

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"strconv"
	"strings"

	"github.com/perdure/perdure"
)

// position is where a reader of one partition's feed is: at its entry of this id,
// which is read or, where pending, still to be read. The zero position is that of
// a reader that found the feed empty.
//
// A reader asks for the entry at its position again. Where that is not the first
// that it gets, entries after it may be gone too.
type position struct {
	ms, seq uint64
	pending bool
}

func (p position) isZero() bool { return p.ms == 0 && p.seq == 0 }

func (p position) before(q position) bool {
	return p.ms < q.ms || p.ms == q.ms && p.seq < q.seq
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
type positions [perdure.Partitions]position

const cursorFormat = 1

// String is the cursor: a format byte, the earliest time, then for each partition
// 0 for the zero position, else the time since then plus one, doubled, plus one
// if pending, and the sequence number; all numbers but the first of variable
// length; in base64url.
func (ps *positions) String() string {
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
		n := (p.ms - base + 1) << 1
		if p.pending {
			n |= 1
		}
		b = binary.AppendUvarint(binary.AppendUvarint(b, n), p.seq)
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

// maxCursor is more than the longest cursor takes.
const maxCursor = 8192

// parsePositions reads what String wrote. It returns an ErrInvalid.
func parsePositions(cursor string) (*positions, error) {
	none := invalid("cursor", "is not one of this change feed; give the Next of a batch, or %q", perdure.FromOldest)
	if len(cursor) > maxCursor {
		return nil, none
	}
	b, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil || len(b) == 0 || b[0] != cursorFormat {
		return nil, none
	}
	b = b[1:]
	next := func() uint64 {
		n, size := binary.Uvarint(b)
		b = b[max(size, 0):]
		return n
	}
	var ps positions
	base := next()
	for i := range ps {
		n := next()
		if n == 0 {
			continue
		}
		ps[i] = position{ms: base + n>>1 - 1, seq: next(), pending: n&1 == 1}
	}
	if ps.String() != cursor { // whatever else is wrong with it
		return nil, none
	}
	return &ps, nil
}
