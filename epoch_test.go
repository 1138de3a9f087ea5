package perdure_test

import (
	"maps"
	"testing"

	"github.com/perdure/perdure"
)

// TestMarks: marks of several processes meet in one record, of each the later, and
// end nobody.
func TestMarks(t *testing.T) {
	user := perdure.HashUser("nobody")
	at := func(ms uint64, node uint32) perdure.Version { return perdure.Version{Time: ms << 16, Node: node} }
	one := perdure.MarkedEpoch(user, at(1, 1), 1000, map[string]perdure.Version{"a": at(5, 9), "b": at(2, 9)})
	other := perdure.MarkedEpoch(user, at(2, 2), 2000, map[string]perdure.Version{"a": at(6, 0), "c": at(1, 0)})
	store, clock := newStore(t, perdure.Options{})
	merger := perdure.Merger{Backend: store.Backend(), Clock: perdure.NewClock(clock.Now)}
	for _, r := range []perdure.Record{one, other} {
		if _, err := merger.Merge(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	joined, err := store.Backend().Get(t.Context(), one.ID)
	if err != nil {
		t.Fatal(err)
	}
	marks, err := perdure.Marks(joined)
	if want := (map[string]perdure.Version{"a": at(6, 0), "b": at(2, 9), "c": at(1, 0)}); err != nil || !maps.Equal(marks, want) {
		t.Errorf("got %v, %v; want %v", marks, err, want)
	}
	session, err := store.Create(t.Context(), perdure.Data{UserID: "nobody"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Get(t.Context(), session.ID); err != nil {
		t.Error(err)
	}
}
