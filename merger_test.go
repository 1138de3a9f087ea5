package perdure_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/perdure/perdure"
)

// side is a store that is cut off from others.
type side struct {
	*perdure.Store
	clock  *testClock
	merger perdure.Merger
}

func newSide(t *testing.T) *side {
	store, clock := newStore(t, perdure.Options{})
	return &side{store, clock, perdure.Merger{Backend: store.Backend(), Clock: perdure.NewClock(clock.Now)}}
}

// records are all that the side holds.
func (s *side) records(t *testing.T) []perdure.Record {
	t.Helper()
	var records []perdure.Record
	for q := (perdure.ScanQuery{Limit: 10, Dead: true}); ; {
		page, err := s.Backend().Scan(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, page.Records...)
		if q.After = page.Next; q.After == "" {
			return records
		}
	}
}

func (s *side) merge(t *testing.T, records ...perdure.Record) {
	t.Helper()
	for _, r := range records {
		if _, err := s.merger.Merge(t.Context(), r); err != nil {
			t.Fatalf("merging %s: %v", r.ID, err)
		}
	}
}

// partition makes two sides that hold the same session.
func partition(t *testing.T, data perdure.Data) (a, b *side, id string) {
	t.Helper()
	a, b = newSide(t), newSide(t)
	id = mustCreate(t, a.Store, data).ID
	b.merge(t, a.records(t)...)
	b.clock.now = b.clock.now.Add(time.Second)
	a.clock.now = a.clock.now.Add(2 * time.Second)
	return a, b, id
}

// inEveryOrder merges all that the sides hold into a new store, in every order,
// and lets check look at it; then once more, which must change nothing.
func inEveryOrder(t *testing.T, sides []*side, check func(t *testing.T, healed *side)) {
	t.Helper()
	var all []perdure.Record
	for _, s := range sides {
		all = append(all, s.records(t)...)
	}
	if len(all) > 6 {
		t.Fatalf("%d records have too many orders", len(all))
	}
	permute(all, func(records []perdure.Record) {
		healed := newSide(t)
		healed.clock.now = sides[0].clock.now
		healed.merge(t, records...)
		check(t, healed)
		healed.merge(t, records...)
		if check(t, healed); t.Failed() {
			for _, r := range records {
				t.Logf("%s kind %d %v version %v parent %q", r.ID, r.Kind, r.Reason, r.Version, r.Parent)
			}
			t.FailNow()
		}
	})
}

func permute(records []perdure.Record, visit func([]perdure.Record)) {
	var rec func(n int)
	rec = func(n int) {
		if n == len(records) {
			visit(slices.Clone(records))
			return
		}
		for i := n; i < len(records); i++ {
			records[n], records[i] = records[i], records[n]
			rec(n + 1)
			records[n], records[i] = records[i], records[n]
		}
	}
	rec(0)
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestMergedDisjointChangesBothSurvive(t *testing.T) {
	a, b, id := partition(t, perdure.Data{UserID: "u", Metadata: map[string]any{"a": 0, "b": 0, "gone": 0}})
	update := must[perdure.Session](t)
	update(a.Update(t.Context(), id, perdure.Patch{Metadata: map[string]any{"a": 1, "gone": nil}}))
	update(b.Update(t.Context(), id, perdure.Patch{Metadata: map[string]any{"b": 1}, Roles: []string{"late"}}))
	update(b.Update(t.Context(), id, perdure.Patch{Metadata: map[string]any{"a": 2}}))
	inEveryOrder(t, []*side{a, b}, func(t *testing.T, healed *side) {
		got, err := healed.Get(t.Context(), id)
		// A wrote "a" two seconds after the start, B one second after it.
		if err != nil || asJSON(t, got.Metadata) != `{"a":1,"b":1}` || !slices.Equal(got.Roles, []string{"late"}) {
			t.Errorf("got %s, %v", asJSON(t, got), err)
		}
	})
}

// The trap of the longer life: an extension on one side, a logout on the other.
func TestMergedLogoutBeatsEveryOtherWrite(t *testing.T) {
	a, b, id := partition(t, perdure.Data{UserID: "u"})
	must[perdure.Session](t)(a.Update(t.Context(), id, perdure.Patch{ExpiresAt: a.clock.now.Add(30 * 24 * time.Hour), Roles: []string{"r"}}))
	must[bool](t)(a.Touch(t.Context(), id))
	must[bool](t)(b.Delete(t.Context(), id))
	inEveryOrder(t, []*side{a, b}, func(t *testing.T, healed *side) {
		wantGone(t, healed.Store, id)
		// The tombstone outlives whatever could be replayed.
		healed.clock.now = healed.clock.now.Add(7*24*time.Hour - time.Minute)
		must[int](t)(healed.DeleteExpired(t.Context()))
		healed.merge(t, a.records(t)...)
		wantGone(t, healed.Store, id)
	})
}

// The trap of the rotated session: a chain of rotations on one side, a logout of
// the first id on the other.
func TestMergedLogoutOfTheFirstIDEndsTheChain(t *testing.T) {
	a, b, first := partition(t, perdure.Data{UserID: "u"})
	second := must[perdure.Session](t)(a.Rotate(t.Context(), first, 0)).ID
	snapshot := newSide(t)
	snapshot.merge(t, must[perdure.Record](t)(a.Backend().Get(t.Context(), second)))
	third := must[perdure.Session](t)(a.Rotate(t.Context(), second, 0)).ID
	must[bool](t)(b.Delete(t.Context(), first))
	inEveryOrder(t, []*side{a, b, snapshot}, func(t *testing.T, healed *side) {
		wantGone(t, healed.Store, first, second, third)
	})
	// And in the sides themselves, whoever hears of the other first.
	a.merge(t, b.records(t)...)
	wantGone(t, a.Store, first, second, third)
	b.merge(t, a.records(t)...)
	wantGone(t, b.Store, first, second, third)
}

func TestMergedRotationsOfBothSidesBothLive(t *testing.T) {
	a, b, first := partition(t, perdure.Data{UserID: "u"})
	one := must[perdure.Session](t)(a.Rotate(t.Context(), first, 0)).ID
	two := must[perdure.Session](t)(b.Rotate(t.Context(), first, 0)).ID
	inEveryOrder(t, []*side{a, b}, func(t *testing.T, healed *side) {
		wantGone(t, healed.Store, first)
		for _, id := range []string{one, two} {
			if ok, err := healed.Exists(t.Context(), id); !ok || err != nil {
				t.Errorf("%s is gone: %v", id, err)
			}
		}
	})
	// A logout of the id that both came from ends both.
	a.merge(t, b.records(t)...)
	if ok, err := a.Delete(t.Context(), first); !ok || err != nil {
		t.Errorf("Delete: %v, %v", ok, err)
	}
	wantGone(t, a.Store, one, two)
}

// Revoking a user reaches sessions that the revoking side has never seen, and
// neither those that it spared nor those that came after it.
func TestMergedRevocationOfAUser(t *testing.T) {
	a, b, known := partition(t, perdure.Data{UserID: "u"})
	unknown := mustCreate(t, a.Store, perdure.Data{UserID: "u"}).ID
	snapshot := newSide(t)
	snapshot.merge(t, must[perdure.Record](t)(a.Backend().Get(t.Context(), unknown)))
	spared := mustCreate(t, b.Store, perdure.Data{UserID: "u"}).ID
	b.clock.now = a.clock.now.Add(time.Second)
	if n := must[int](t)(b.RevokeUser(t.Context(), "u", spared)); n != 1 {
		t.Fatalf("revoked %d", n)
	}
	rotated := must[perdure.Session](t)(b.Rotate(t.Context(), spared, 0)).ID
	a.clock.now = b.clock.now.Add(time.Second)
	later := mustCreate(t, a.Store, perdure.Data{UserID: "u"}).ID
	a.merge(t, b.records(t)...)
	b.merge(t, a.records(t)...)
	for name, s := range map[string]*side{"a": a, "b": b} {
		wantGone(t, s.Store, known, unknown, spared)
		for _, id := range []string{rotated, later} {
			if ok, err := s.Exists(t.Context(), id); !ok || err != nil {
				t.Errorf("side %s: %s is gone: %v", name, id, err)
			}
		}
	}
	forgetTombstone := newSide(t)
	forgetTombstone.merge(t, slices.DeleteFunc(b.records(t), func(r perdure.Record) bool { return r.ID == unknown || r.ID == known })...)
	inEveryOrder(t, []*side{forgetTombstone, snapshot}, func(t *testing.T, healed *side) {
		wantGone(t, healed.Store, unknown, spared)
		for _, id := range []string{rotated, later} {
			if ok, err := healed.Exists(t.Context(), id); !ok || err != nil {
				t.Errorf("%s is gone: %v", id, err)
			}
		}
	})
}

func TestMergeKeepsIdentity(t *testing.T) {
	a, b, id := partition(t, perdure.Data{UserID: "u", Username: "ann", Roles: []string{"r"}, Metadata: map[string]any{"k": 1}})
	must[bool](t)(a.Touch(t.Context(), id))
	must[perdure.Session](t)(a.Update(t.Context(), id, perdure.Patch{Metadata: map[string]any{"k": 2}}))
	b.merge(t, a.records(t)...)
	want, got := must[perdure.Session](t)(a.Get(t.Context(), id)), must[perdure.Session](t)(b.Get(t.Context(), id))
	if asJSON(t, want) != asJSON(t, got) {
		t.Errorf("went in  %s\ncame out %s", asJSON(t, want), asJSON(t, got))
	}
}

func TestMergeRefusesWhatNoStoreWouldHold(t *testing.T) {
	a, b, id := partition(t, perdure.Data{UserID: "u"})
	good := must[perdure.Record](t)(a.Backend().Get(t.Context(), id))
	for name, spoil := range map[string]func(r *perdure.Record){
		"no expiry":               func(r *perdure.Record) { r.Expiry = 0 },
		"expiry past its horizon": func(r *perdure.Record) { r.Expiry = r.Horizon + 1 },
		"hostile id":              func(r *perdure.Record) { r.ID = "../../etc/passwd" },
		"another user's epoch":    func(r *perdure.Record) { r.Kind = perdure.KindEpoch },
	} {
		bad := good
		spoil(&bad)
		if _, err := b.merger.Merge(t.Context(), bad); !errors.Is(err, perdure.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ahead := good
	ahead.Version.Time += uint64(time.Hour.Milliseconds()) << 16
	ahead.ID = perdure.NewID(0)
	if _, err := b.merger.Merge(t.Context(), ahead); !errors.Is(err, perdure.ErrSkew) {
		t.Errorf("an hour ahead: %v", err)
	}
}

// expiring is a backend with pages of two, of which the first list of a user expires.
type expiring struct {
	perdure.Backend
	done bool
}

func (e *expiring) ListUser(ctx context.Context, user perdure.UserKey, after string, _ int) (perdure.Page, error) {
	if after != "" && !e.done {
		e.done = true
		return perdure.Page{}, perdure.ErrListExpired
	}
	return e.Backend.ListUser(ctx, user, after, 2)
}

// TestAnEpochWhoseListExpires ends all sessions that it kills.
func TestAnEpochWhoseListExpires(t *testing.T) {
	a, b := newSide(t), newSide(t)
	for range 5 {
		mustCreate(t, a.Store, perdure.Data{UserID: "u"})
	}
	b.merge(t, a.records(t)...)
	b.clock.now = b.clock.now.Add(time.Second)
	if _, err := b.RevokeUser(t.Context(), "u"); err != nil {
		t.Fatal(err)
	}
	epoch, err := b.Backend().Get(t.Context(), perdure.EpochID(perdure.HashUser("u")))
	if err != nil {
		t.Fatal(err)
	}
	a.clock.now = b.clock.now.Add(time.Second)
	a.merger.Backend = &expiring{Backend: a.Backend()}
	a.merge(t, epoch)
	if left, err := a.GetByUserID(t.Context(), "u"); len(left) != 0 || err != nil {
		t.Errorf("%d sessions live on, %v", len(left), err)
	}
}
