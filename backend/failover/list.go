package failover

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// What a cursor begins with says who made it. Those of a scan of the front store alone
// have no mark.
const (
	frontPage   = "f"
	heldPage    = "h"        // of what is held here: the id that it goes on after
	mirrorPage  = "m"        // of a removal that has gone through the journal
	heldScan    = "held."    // as heldPage
	journalScan = "journal." // of a scan in a recovery, that begins with the journal
	partScan    = "part."    // of a scan while some of the front store is away
)

// defaultPage is how many records a page has if nobody says.
const defaultPage = 1000

// ListUser returns a page of the user's sessions. Offline, only a full mirror
// can know all of them.
func (b *Backend) ListUser(ctx context.Context, user perdure.UserKey, after string, limit int) (perdure.Page, error) {
	return b.listUser(ctx, user, after, limit, false)
}

// Scan returns a page of all records. Offline, only a full mirror has them.
func (b *Backend) Scan(ctx context.Context, q perdure.ScanQuery) (perdure.Page, error) {
	return b.scan(ctx, q, false)
}

// ListPartial is ListUser or Scan of what is there, where not all is.
func (b *Backend) ListPartial(ctx context.Context, user perdure.UserKey, after string, limit int) (perdure.Page, error) {
	if user == "" {
		return b.scan(ctx, perdure.ScanQuery{After: after, Limit: limit}, true)
	}
	return b.listUser(ctx, user, after, limit, true)
}

func (b *Backend) listUser(ctx context.Context, user perdure.UserKey, after string, limit int, partial bool) (perdure.Page, error) {
	return serve(ctx, b, served[perdure.Page]{
		reach: at(user.Partition()),
		claim: func(ctx context.Context) error { return b.claimUser(ctx, user) },
		online: func(ctx context.Context, st *status) (perdure.Page, error) {
			after, err := resume(after, frontPage, heldPage)
			if err != nil {
				return perdure.Page{}, err
			}
			page, err := st.front.ListUser(ctx, user, after, limit)
			if err == nil && b.questionable(ctx, st) { // it may lack what is held here
				if err = b.bringBack(ctx, st.front, user); err == nil {
					page, err = st.front.ListUser(ctx, user, after, limit)
				}
			}
			if err != nil {
				return page, err
			}
			if page.Incomplete = b.lacking(); page.Incomplete && !partial {
				return perdure.Page{}, b.elsewhere(st, "it may have lost data: sessions may be on their way back")
			}
			err = b.agreeAll(ctx, st, &page)
			return mark(page, frontPage), err
		},
		offline: func(ctx context.Context, st *status) (perdure.Page, error) {
			after, err := resume(after, heldPage, frontPage)
			if err != nil {
				return perdure.Page{}, err
			}
			page, err := b.heldPage(ctx, st, partial, listing{after: after, limit: limit, compare: strings.Compare,
				get: func(of *local.Backend, after string, limit int) (perdure.Page, error) {
					return of.ListUser(ctx, user, after, limit)
				}})
			return mark(page, heldPage), err
		},
	})
}

func (b *Backend) scan(ctx context.Context, q perdure.ScanQuery, partial bool) (perdure.Page, error) {
	return serve(ctx, b, served[perdure.Page]{
		claim: func(context.Context) error { return nil },
		online: func(ctx context.Context, st *status) (perdure.Page, error) {
			return b.scanThere(ctx, st, q, partial)
		},
		offline: func(ctx context.Context, st *status) (perdure.Page, error) {
			if st.partly() {
				return b.scanPart(ctx, st, q, partial)
			}
			after, ok := strings.CutPrefix(q.After, heldScan)
			if !ok && q.After != "" {
				return perdure.Page{}, perdure.ErrListExpired
			}
			page, err := b.scanHeld(ctx, st, q, after, partial)
			return mark(page, heldScan), err
		},
	})
}

// scanThere is a page of what the front store has, as it will be once all is merged.
func (b *Backend) scanThere(ctx context.Context, st *status, q perdure.ScanQuery, partial bool) (perdure.Page, error) {
	page, err := b.scanOnline(ctx, st, q)
	if err != nil {
		return page, err
	}
	page.Incomplete = b.questionable(ctx, st) || st.doubt != "" || b.lacking()
	if page.Incomplete && !partial {
		return perdure.Page{}, b.elsewhere(st, "it may have lost data: a list of all sessions must wait until that is given back")
	}
	return page, nil
}

// scanHeld is a page of what is held here, after an id.
func (b *Backend) scanHeld(ctx context.Context, st *status, q perdure.ScanQuery, after string, partial bool) (perdure.Page, error) {
	return b.heldPage(ctx, st, partial, listing{after: after, limit: q.Limit, compare: byPartition, dead: q.Dead,
		get: func(of *local.Backend, after string, limit int) (perdure.Page, error) {
			return of.Scan(ctx, perdure.ScanQuery{After: after, Limit: limit, From: q.From, To: q.To, Dead: q.Dead})
		}})
}

func mark(p perdure.Page, origin string) perdure.Page {
	if p.Next != "" {
		p.Next = origin + p.Next
	}
	return p
}

// resume is the cursor as it was before its mark. A list that was begun on the
// other side of an outage cannot go on.
func resume(after, origin, other string) (string, error) {
	rest, ok := strings.CutPrefix(after, origin)
	switch {
	case ok && rest != "" && len(rest) <= maxCursor, after == "":
		return rest, nil
	case strings.HasPrefix(after, other):
		return "", perdure.ErrListExpired
	}
	return "", &perdure.InvalidError{Field: "cursor", Problem: "is not one of this store"}
}

// maxCursor is more than the longest cursor of any store takes.
const maxCursor = 64 << 10

// lacking reports whether sessions may be missing from the front store that nobody
// here holds: a mirror that knew all before has given back what was lost.
func (b *Backend) lacking() bool {
	return !b.mirror.knowsAll() && (b.doubted() || b.filling())
}

// listing is a list of what is held here.
type listing struct {
	after   string // an id
	limit   int
	dead    bool // with what ends sessions
	compare func(id, other string) int
	get     func(of *local.Backend, after string, limit int) (perdure.Page, error)
}

// byPartition is the order of a scan.
func byPartition(id, other string) int {
	return cmp.Or(cmp.Compare(perdure.PartitionOf(id), perdure.PartitionOf(other)), strings.Compare(id, other))
}

// heldPage is a page of what mirror and journal hold, joined as it will be merged, and
// nothing of it is written. The work is bounded by the limit.
func (b *Backend) heldPage(ctx context.Context, st *status, partial bool, l listing) (page perdure.Page, err error) {
	all := b.mirror.knowsAll() && !b.outdatedMirror()
	if !all && !partial {
		return page, b.unavailable(st, "what this process holds may not be all: who allows that a list is incomplete gets what there is")
	}
	if l.limit <= 0 {
		l.limit = defaultPage
	}
	if len(l.after) > perdure.MaxIDLen {
		return page, &perdure.InvalidError{Field: "cursor", Problem: "is not one of this store"}
	}
	written, err := l.get(b.journal.Backend, local.CursorAfter(l.after), l.limit)
	if err != nil {
		return page, err
	}
	mirrored, err := l.get(b.mirror.Backend, local.CursorAfter(l.after), l.limit)
	if err != nil {
		return page, err
	}
	end := ""
	for _, p := range []*perdure.Page{&written, &mirrored} {
		if n := len(p.Records); p.Next != "" && (end == "" || l.compare(p.Records[n-1].ID, end) < 0) {
			end = p.Records[n-1].ID
		}
	}
	if page, err = b.unwritten(ctx, st, mirrored.Records, l.dead); err != nil {
		return page, err
	}
	for i := range written.Records {
		if _, err = b.endsWithAncestor(ctx, st, &written.Records[i]); err != nil {
			return page, err
		}
	}
	page.Records, page.Incomplete = append(page.Records, alive(written.Records, l.dead)...), !all
	page.Unreadable = append(page.Unreadable, written.Unreadable...)
	slices.SortFunc(page.Records, func(r, s perdure.Record) int { return l.compare(r.ID, s.ID) })
	if len(page.Records) > l.limit && (end == "" || l.compare(page.Records[l.limit-1].ID, end) < 0) {
		end = page.Records[l.limit-1].ID
	}
	if end != "" {
		past := func(id string) bool { return l.compare(id, end) > 0 }
		page.Records = slices.DeleteFunc(page.Records, func(r perdure.Record) bool { return past(r.ID) })
		page.Unreadable = slices.DeleteFunc(page.Unreadable, past)
		page.Next = end
	}
	slices.Sort(page.Unreadable)
	page.Unreadable = slices.Compact(page.Unreadable)
	err = b.vouchForAll(st, &page, partial)
	return page, err
}

// outdatedMirror reports whether the mirror is older than the policy allows.
func (b *Backend) outdatedMirror() bool { return b.opts.MaxAge > 0 && b.mirror.age() > b.opts.MaxAge }

// unwritten is what the mirror holds and the journal does not, as what waits in the
// journal leaves it.
func (b *Backend) unwritten(ctx context.Context, st *status, mirrored []perdure.Record, dead bool) (page perdure.Page, err error) {
	records, err := b.notJournalled(ctx, mirrored, &page)
	if err != nil || b.journal.ends.len() == 0 {
		page.Records = records
		return page, err
	}
	foreseen, err := b.foresee(ctx, st, records)
	if err != nil {
		return page, err
	}
	for i, merged := range foreseen {
		switch r := merged.Record; {
		case merged.Err != nil:
			page.Unreadable = append(page.Unreadable, records[i].ID)
		case r.Kind == perdure.KindSession || dead:
			page.Records = append(page.Records, r)
		}
	}
	return page, nil
}

// notJournalled are those of the records of which the journal holds nothing. What it
// holds and cannot be read is named in the page.
func (b *Backend) notJournalled(ctx context.Context, records []perdure.Record, page *perdure.Page) ([]perdure.Record, error) {
	journalled, err := b.journal.Load(ctx, idsIn(records))
	bad, err := perdure.AsUnreadable(err)
	if err != nil {
		return nil, err
	}
	unreadable := bad.Set()
	var rest []perdure.Record
	for i, r := range records {
		switch {
		case unreadable[r.ID]:
			page.Unreadable = append(page.Unreadable, r.ID)
		case !journalled[i].Exists():
			rest = append(rest, r)
		}
	}
	return rest, nil
}

func idsIn(records []perdure.Record) []string {
	ids := make([]string, len(records))
	for i := range records {
		ids[i] = records[i].ID
	}
	return ids
}

// scanOnline is a page of the front store's records, joined with what still waits in
// the journal. First come those that the journal alone has: what leaves it meanwhile
// comes with the front store, where it then is. One that is merged in between may come
// twice.
func (b *Backend) scanOnline(ctx context.Context, st *status, q perdure.ScanQuery) (perdure.Page, error) {
	if strings.HasPrefix(q.After, heldScan) || strings.HasPrefix(q.After, partScan) {
		return perdure.Page{}, perdure.ErrListExpired
	}
	waiting, _ := b.journal.depth()
	after, journalled := strings.CutPrefix(q.After, journalScan)
	var first perdure.Page
	if journalled || q.After == "" && waiting > 0 {
		page, err := b.scanJournal(ctx, st, perdure.ScanQuery{After: after, Limit: q.Limit, From: q.From, To: q.To, Dead: q.Dead})
		if err != nil || page.Next != "" {
			return mark(page, journalScan), err
		}
		first, q.After = page, ""
	}
	page, err := st.front.Scan(ctx, q)
	if err != nil {
		return perdure.Page{}, err
	}
	if waiting > 0 {
		foreseen, err := b.foresee(ctx, st, page.Records)
		if err != nil {
			return perdure.Page{}, err
		}
		for i := range foreseen {
			if foreseen[i].Err == nil { // else it stands as it is
				page.Records[i] = foreseen[i].Record
			}
		}
		page.Records = alive(page.Records, q.Dead)
	}
	page.Records = append(first.Records, page.Records...)
	page.Unreadable = append(first.Unreadable, page.Unreadable...)
	return page, nil
}

// scanJournal is a page of what the journal has and the front store does not, as it
// will be merged.
func (b *Backend) scanJournal(ctx context.Context, st *status, q perdure.ScanQuery) (perdure.Page, error) {
	page, err := b.journal.Scan(ctx, q)
	if err != nil || len(page.Records) == 0 {
		return page, err
	}
	ids := idsIn(page.Records)
	there, err := st.front.Load(ctx, ids)
	bad, err := perdure.AsUnreadable(err)
	if err != nil {
		return perdure.Page{}, err
	}
	unreadable, known := bad.Set(), map[string]bool{}
	for i, id := range ids {
		known[id] = there[i].Exists() || unreadable[id] // the front store names it
	}
	foreseen, err := b.merger(st.front).Preview(ctx, slices.DeleteFunc(page.Records, func(r perdure.Record) bool { return known[r.ID] }))
	if err != nil {
		return perdure.Page{}, err
	}
	page.Records, page.Unreadable = nil, nil // what of the journal cannot be read is counted elsewhere
	for i := range foreseen {
		if foreseen[i].Err == nil {
			page.Records = append(page.Records, foreseen[i].Record)
		}
	}
	page.Records = alive(page.Records, q.Dead)
	return page, nil
}

// alive are the sessions among the records, or with the dead all of them.
func alive(records []perdure.Record, dead bool) []perdure.Record {
	if dead {
		return records
	}
	return slices.DeleteFunc(records, func(r perdure.Record) bool { return r.Kind != perdure.KindSession })
}
