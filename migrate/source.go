package migrate

import (
	"context"
	"errors"
	"slices"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/printable"
)

// Source is where sessions come from: a backend (see FromBackend), or what
// another product has stored. It is safe for concurrent use.
//
// Its errors are those of a Backend: one that cannot answer returns a
// perdure.ErrUnavailable, never an empty page.
type Source interface {
	// Parts is how many parts it has, which can be read at the same time.
	Parts(ctx context.Context) (int, error)

	// Read returns a page of about limit records of a part, beginning after a
	// cursor: empty at the start, then the Next of the page before. A record that
	// is there from the first page to the last is in at least one of them. The
	// cursor outlives this process.
	Read(ctx context.Context, part int, after string, limit int) (Page, error)

	// Load returns what is stored under the ids, aligned with them; the zero
	// Record for nothing. What cannot be read is in a perdure.UnreadableError
	// beside the others.
	Load(ctx context.Context, ids []string) ([]perdure.Record, error)

	// Count is about how many sessions there are.
	Count(ctx context.Context) (int64, error)
}

// Page is one page of a part.
type Page struct {
	Records []perdure.Record
	// Refused are sessions that are there and cannot be read.
	Refused []Failure
	// Next is the cursor of the next page; empty at the end.
	Next string
}

// FromBackend is a backend as a source. Its parts are the partitions.
func FromBackend(b perdure.Backend) Source { return store{b} }

// store is a backend as a source.
type store struct{ perdure.Backend }

func (store) Parts(context.Context) (int, error) { return perdure.Partitions, nil }

func (s store) Read(ctx context.Context, part int, after string, limit int) (Page, error) {
	q := perdure.ScanQuery{After: after, Limit: limit, From: part, To: part + 1, Dead: true}
	page, err := s.Scan(ctx, q)
	if errors.Is(err, perdure.ErrListExpired) && after != "" { // a daemon in an outage: the part begins anew
		q.After = ""
		page, err = s.Scan(ctx, q)
	}
	refused := make([]Failure, len(page.Unreadable))
	for i, id := range page.Unreadable {
		refused[i] = unread(id)
	}
	page.Records = slices.DeleteFunc(page.Records, func(r perdure.Record) bool { return r.Notice() }) // it is about this store
	return Page{Records: page.Records, Refused: refused, Next: page.Next}, err
}

// unread is the failure of a stored record that cannot be read.
func unread(id string) Failure {
	return Failure{printable.Clip(id, maxPrinted), "the stored record cannot be read: it is damaged, or of another version"}
}

func (s store) Count(ctx context.Context) (int64, error) {
	stats, err := s.Stats(ctx)
	return stats.Sessions, err
}
