package failover

import (
	"context"
	"encoding/hex"
	"strings"

	"github.com/perdure/perdure"
)

// part is where a scan goes on while some of the front store is away: it goes through
// neighbouring partitions that are all away, or all there, at a time. In a cursor it is
// the first of them in hex, what they are, and the cursor in them.
type part struct {
	from  int
	away  bool
	after string
}

func (p part) String() string {
	kind := frontPage
	if p.away {
		kind = heldPage
	}
	return partScan + hex.EncodeToString([]byte{byte(p.from)}) + kind + p.after
}

// parsePart reads what String wrote.
func parsePart(cursor string) (p part, ok bool) {
	rest, ok := strings.CutPrefix(cursor, partScan)
	if !ok || len(rest) < 3 || len(rest) > maxCursor {
		return p, false
	}
	from, err := hex.DecodeString(rest[:2])
	if err != nil {
		return p, false
	}
	p = part{from: int(from[0]), away: rest[2:3] == heldPage, after: rest[3:]}
	return p, p.String() == cursor
}

// scanPart is a page of a scan while some of the front store is away: of what is there
// by the front store, of the rest by what is held here.
func (b *Backend) scanPart(ctx context.Context, st *status, q perdure.ScanQuery, partial bool) (page perdure.Page, err error) {
	if q.From == 0 && q.To == 0 {
		q.To = perdure.Partitions
	}
	if q.From < 0 || q.To > perdure.Partitions || q.From >= q.To {
		return st.front.Scan(ctx, q) // which says what is wrong, or that there is nothing
	}
	at := part{from: q.From, away: st.away.has(q.From)}
	if q.After != "" {
		var ok bool
		if at, ok = parsePart(q.After); !ok || at.from < q.From || at.from >= q.To || at.away != st.away.has(at.from) {
			return page, perdure.ErrListExpired
		}
	}
	here := q
	here.From, here.To, here.After = at.from, min(st.away.end(at.from), q.To), at.after
	if at.away {
		page, err = b.scanHeld(ctx, st, here, at.after, partial)
	} else {
		page, err = b.scanThere(ctx, st, here, partial)
	}
	switch {
	case err != nil:
		return perdure.Page{}, err
	case page.Next != "":
		at.after = page.Next
		page.Next = at.String()
	case here.To < q.To:
		page.Next = part{from: here.To, away: st.away.has(here.To)}.String()
	}
	return page, nil
}
