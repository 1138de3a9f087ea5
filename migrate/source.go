package migrate

import (
	"context"

	"github.com/perdure/perdure"
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
	// Record for nothing, and for what cannot be read.
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
	page, err := s.Scan(ctx, perdure.ScanQuery{After: after, Limit: limit, From: part, To: part + 1, Dead: true})
	return Page{Records: page.Records, Next: page.Next}, err
}

func (s store) Count(ctx context.Context) (int64, error) {
	stats, err := s.Stats(ctx)
	return stats.Sessions, err
}
