package failover_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

// TestAnAutomaticMirror is full while what is stored fits a quarter of its room, keeps
// what is seen beyond, and is full again when less is stored; health says which, and why.
func TestAnAutomaticMirror(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		ids := fill(t, s, "ada", 100)
		n := s.open(t, failover.Options{MaxMirrorBytes: 1 << 20})
		kept := func(want failover.Mirror, whole bool, why string) {
			t.Helper()
			h := n.failover.Health(t.Context())
			if h.Mirror != want || h.MirrorWhole != whole || !strings.Contains(h.MirrorReason, why) {
				t.Errorf("kept: %q, whole: %v, as %q; want %q, %v, %q", h.Mirror, h.MirrorWhole, h.MirrorReason, want, whole, why)
			}
		}
		n.awaitWhole(t)
		kept(failover.MirrorFull, true, "fits")
		passing := func(n int) {
			t.Helper()
			store, err := perdure.New(keep{s}, perdure.Options{SweepInterval: -1})
			if err != nil {
				t.Fatal(err)
			}
			defer store.Close()
			for i := range n {
				if _, err := store.Create(t.Context(), perdure.Data{UserID: "bob", ExpiresAt: time.Now().Add(time.Duration(1+i%2) * time.Hour)}); err != nil {
					t.Fatal(err)
				}
			}
		}
		sweep := func() {
			t.Helper()
			for _, b := range []perdure.Backend{s, n.failover} {
				if _, _, err := b.Sweep(t.Context(), perdure.MillisOf(time.Now()), 10_000); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(reviewed)
		}
		passing(1000)
		time.Sleep(reviewed)
		kept(failover.MirrorSeen, false, "a quarter of the memory")
		n.want(t, true, ids...)
		time.Sleep(time.Hour)
		sweep()
		kept(failover.MirrorSeen, false, "more than fit") // that is not less enough
		time.Sleep(time.Hour)
		sweep()
		n.awaitWhole(t)
		kept(failover.MirrorFull, true, "fits")
		n.want(t, true, ids...)
	})
}

// reviewed is how long a mirror takes at most to see how much is stored.
const reviewed = 15 * time.Second

// TestAMirrorBecomesFullAtItsPace: however much is stored, the feed is read meanwhile,
// so that it does not get away, and what is written is there in the end.
func TestAMirrorBecomesFullAtItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(t)
		ids := fill(t, s, "ada", 20_000)
		began := time.Now()
		n := s.open(t, failover.Options{})
		if ok, err := n.Delete(t.Context(), ids[0]); !ok || err != nil {
			t.Fatal(ok, err)
		}
		ids = append(ids[1:], fill(t, s, "bob", 10)...)
		n.awaitWhole(t)
		if took := time.Since(began); took < 20_000*time.Second/50_000 {
			t.Errorf("it took 20,000 records in %v", took)
		}
		got, err := listed(t, n, perdure.ListQuery{PageSize: 1000})
		if err != nil {
			t.Fatal(err)
		}
		wantSameIDs(t, "all", got, ids)
		if held := n.failover.Health(t.Context()).MirrorRecords; held != int64(len(ids)) {
			t.Errorf("it holds %d of %d", held, len(ids))
		}
	})
}

// TestAListThatIsNotWhole is given to who asks for it, and to nobody else.
func TestAListThatIsNotWhole(t *testing.T) {
	shared := newShared(t)
	fill(t, shared, "ada", 5)
	n := newNode(t, shared, failover.Options{Mirror: failover.MirrorSeen})
	want := []string{n.create(t, "ada"), n.create(t, "ada"), n.create(t, "ada")}
	for _, user := range []string{"", "ada"} {
		page, err := n.List(t.Context(), perdure.ListQuery{UserID: user, AllowIncomplete: true})
		if err != nil || page.Incomplete || len(page.Sessions) != 8 {
			t.Errorf("of %q, while all is well: %d, incomplete %v, %v", user, len(page.Sessions), page.Incomplete, err)
		}
	}
	fresh := newNode(t, shared, failover.Options{Mirror: failover.MirrorSeen})
	fresh.want(t, true, want...)
	fresh.cut.Store(true)
	fresh.await(t, failover.Degraded)
	for _, user := range []string{"", "ada"} {
		if _, err := fresh.List(t.Context(), perdure.ListQuery{UserID: user}); !errors.Is(err, perdure.ErrUnavailable) {
			t.Errorf("of %q, by who has not asked for less: %v", user, err)
		}
		var got []string
		for query := (perdure.ListQuery{UserID: user, AllowIncomplete: true, PageSize: 2}); ; {
			page, err := fresh.List(t.Context(), query)
			if err != nil || !page.Incomplete {
				t.Fatalf("of %q: %+v, %v", user, page, err)
			}
			for _, s := range page.Sessions {
				got = append(got, s.ID)
			}
			if query.PageToken = page.NextPageToken; query.PageToken == "" {
				break
			}
		}
		wantSameIDs(t, "what is held", got, want)
	}
}
