package local_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// A scan names each record of the file that cannot be read once, whatever the
// size of its pages, between the others and after the last of them.
func TestAScanNamesTheUnreadable(t *testing.T) {
	dir, records := filled(t, 60)
	var lost []string
	rewrite(t, dir, func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte("records"))
		for id := range records {
			if len(lost) == 45 { // of most partitions, all
				break
			}
			value := []byte(string(bucket.Get([]byte(id))))
			value[len(value)-1]++
			if err := bucket.Put([]byte(id), value); err != nil {
				return err
			}
			lost = append(lost, id)
		}
		return nil
	})
	b := open(t, local.Options{Dir: dir})
	for _, limit := range []int{1, 2, 14, 15, 1000} {
		read, named := 0, []string(nil)
		for _, bounds := range [][2]int{{0, 100}, {100, 256}} {
			for q := (perdure.ScanQuery{Limit: limit, From: bounds[0], To: bounds[1]}); ; {
				page, err := b.Scan(t.Context(), q)
				if err != nil {
					t.Fatal(err)
				}
				read += len(page.Records)
				named = append(named, page.Unreadable...)
				if q.After = page.Next; q.After == "" {
					break
				}
			}
		}
		slices.Sort(lost)
		slices.Sort(named)
		if read != 15 || !slices.Equal(named, lost) {
			t.Errorf("in pages of %d there are %d records and %d unreadable, want 15 and 45", limit, read, len(named))
		}
	}
	var ids []string
	for id := range records {
		ids = append(ids, id)
	}
	got, err := b.Load(context.Background(), ids)
	bad, ok := errors.AsType[*perdure.UnreadableError](err)
	if !ok || len(bad.IDs) != 45 || len(got) != 60 {
		t.Fatalf("a load: %d, %v", len(got), err)
	}
	for i, id := range ids {
		if want := records[id]; slices.Contains(lost, id) == got[i].Exists() || got[i].Exists() && got[i] != want {
			t.Errorf("%s is loaded as %+v", id, got[i])
		}
	}
}
