package migrate_test

import (
	"context"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/migrate"
)

// expiring is a store of which so many lists expire after their first page, as a
// daemon's do in whose lists an outage of Redis begins or ends.
type expiring struct {
	perdure.Backend
	scans, lists int
}

func (e *expiring) Scan(ctx context.Context, q perdure.ScanQuery) (perdure.Page, error) {
	if q.After != "" && e.scans > 0 {
		e.scans--
		return perdure.Page{}, perdure.ErrListExpired
	}
	return e.Backend.Scan(ctx, q)
}

func (e *expiring) ListUser(ctx context.Context, user perdure.UserKey, after string, limit int) (perdure.Page, error) {
	if after != "" && e.lists > 0 {
		e.lists--
		return perdure.Page{}, perdure.ErrListExpired
	}
	return e.Backend.ListUser(ctx, user, after, limit)
}

// TestListsThatExpire begin anew, in a move and in its verification.
func TestListsThatExpire(t *testing.T) {
	from, to := &expiring{Backend: memory(t), scans: 3}, &expiring{Backend: memory(t), lists: 3}
	store := storeOn(t, from, perdure.Options{})
	for range 9 { // of one user, and so in one part
		if _, err := store.Create(t.Context(), perdure.Data{UserID: "u"}); err != nil {
			t.Fatal(err)
		}
	}
	page := migrate.Reading{BatchSize: 2, Workers: 1}
	run(t, from, to, migrate.Options{Reading: page})
	if from.scans != 0 {
		t.Errorf("%d lists more are to expire", from.scans)
	}
	wantSame(t, from.Backend, to.Backend)
	from.scans = 2
	if report, err := verify(t, from, to, migrate.VerifyOptions{Reading: page}); err != nil || from.scans+to.lists != 0 {
		t.Errorf("%+v, %v; %d and %d are to expire", report, err, from.scans, to.lists)
	}
}
