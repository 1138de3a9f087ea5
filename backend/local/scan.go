package local

import (
	"context"
	"slices"
	"strings"

	"github.com/perdure/perdure"
)

// Scan returns a page of records in the order of partition, then id. The cursor
// stands for the last of them: it means the same after a restart. Of what cannot
// be read the kind is not known: it is named with and without Dead.
func (b *Backend) Scan(ctx context.Context, q perdure.ScanQuery) (perdure.Page, error) {
	if err := b.ready(ctx); err != nil {
		return perdure.Page{}, err
	}
	if q.From == 0 && q.To == 0 {
		q.To = perdure.Partitions
	}
	if q.From < 0 || q.To > perdure.Partitions || q.From > q.To {
		return perdure.Page{}, invalid("scan", "is of the partitions %d to %d; they lie within 0 to %d", q.From, q.To, perdure.Partitions)
	}
	after, err := readCursor(q.After)
	if err != nil {
		return perdure.Page{}, err
	}
	p := q.From
	if after != "" {
		if p = perdure.PartitionOf(after); p < q.From {
			p, after = q.From, ""
		}
	}
	var page perdure.Page
	bytes := 0
	for left := pageLimit(q.Limit); p < q.To; p, after = p+1, "" {
		if ctx.Err() != nil {
			return perdure.Page{}, ended(ctx)
		}
		records, more := b.shards[p].page(after, left, q.Dead)
		n := 0
		n, bytes = fitting(bytes, len(records), func(i int) *perdure.Record { return records[i] })
		if n < len(records) && n == 0 { // the page ends with the partition before
			page.Next = writeCursor(page.Records[len(page.Records)-1].ID)
			break
		}
		if n < len(records) {
			records, more, left = records[:n], true, n
		}
		page.Records = slices.Grow(page.Records, len(records))
		for _, r := range records {
			page.Records = append(page.Records, *r)
		}
		last := ""
		if left -= len(records); left == 0 && (more || p+1 < q.To) {
			last = records[len(records)-1].ID
			page.Next = writeCursor(last)
		}
		page.Unreadable = append(page.Unreadable, between(b.passedOver[p], after, last)...)
		if page.Next != "" {
			break
		}
	}
	return page, nil
}

// fitting is how many of n records a page has room for that has so many bytes, and how
// many it has then. A page has room for one.
func fitting(bytes, n int, record func(i int) *perdure.Record) (fit, now int) {
	for fit < n {
		more := record(fit).EncodedSize()
		if bytes > 0 && bytes+more > perdure.MaxPageBytes {
			break
		}
		bytes += more
		fit++
	}
	return fit, bytes
}

// between is those of ids, which are in order, after one and up to another, or to
// the end where that is empty.
func between(ids []string, after, last string) []string {
	end := len(ids)
	from, found := slices.BinarySearch(ids, after)
	if found {
		from++
	}
	if last != "" {
		end, _ = slices.BinarySearch(ids, last) // no record has the id of one of these
	}
	return ids[from:max(from, end)]
}

// page is the first records of the shard after an id, and whether there are
// more. It looks at all records and keeps the lowest: a shard has no order to
// maintain while nobody scans it.
func (s *shard) page(after string, limit int, dead bool) (records []*perdure.Record, more bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i := range s.due {
		r := s.due[i].entry.record.Load()
		switch {
		case r.ID <= after, r.Kind != perdure.KindSession && !dead:
		case more && r.ID > records[limit-1].ID:
		default:
			if records = append(records, r); len(records) == 2*limit {
				records, more = lowest(records, limit), true
			}
		}
	}
	return lowest(records, limit), more || len(records) > limit
}

// lowest is up to n of the records with the lowest ids, in order.
func lowest(records []*perdure.Record, n int) []*perdure.Record {
	slices.SortFunc(records, func(a, b *perdure.Record) int { return strings.Compare(a.ID, b.ID) })
	return records[:min(n, len(records))]
}
