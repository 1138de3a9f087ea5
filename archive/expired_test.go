package archive_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/archive"
)

// expiring is a store of which so many lists expire after their first page.
type expiring struct {
	perdure.Backend
	times int
}

func (e *expiring) Scan(ctx context.Context, q perdure.ScanQuery) (perdure.Page, error) {
	if q.After != "" && e.times > 0 {
		e.times--
		return perdure.Page{}, perdure.ErrListExpired
	}
	return e.Backend.Scan(ctx, q)
}

// TestAScanThatExpires: an outage that began or ended in the middle of a backup has it
// scan again, but not for ever.
func TestAScanThatExpires(t *testing.T) {
	store, copied := inMemory(t), inMemory(t)
	populate(t, store, 9)
	var out bytes.Buffer
	summary, err := archive.Backup(t.Context(), &expiring{store.Backend(), 1}, &out, archive.BackupOptions{PageSize: 2})
	if err != nil || summary.Footer.Rescans != 1 {
		t.Fatalf("%+v, %v", summary, err)
	}
	restore(t, out.Bytes(), copied, archive.RestoreOptions{})
	same(t, copied, store)
	if _, err := archive.Backup(t.Context(), &expiring{store.Backend(), 99}, &out, archive.BackupOptions{PageSize: 2}); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("an outage without end: %v", err)
	}
}
