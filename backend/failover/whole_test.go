package failover_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

// fill creates sessions of a user in a store, without anybody who could see them.
func fill(t *testing.T, shared perdure.Backend, user string, n int) (ids []string) {
	t.Helper()
	store, err := perdure.New(keep{shared}, perdure.Options{SweepInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for range n {
		s, err := store.Create(t.Context(), perdure.Data{UserID: user})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, s.ID)
	}
	return ids
}

// keep is a backend that its store does not close.
type keep struct{ perdure.Backend }

func (keep) Close() error { return nil }

// awaitWhole returns when the node's mirror holds all there is.
func (n *node) awaitWhole(t *testing.T) {
	t.Helper()
	n.awaitHealth(t, func(h failover.Health) bool { return h.MirrorWhole })
}

// listed are the ids of a list, page by page.
func listed(t *testing.T, n *node, query perdure.ListQuery) (ids []string, err error) {
	t.Helper()
	for {
		page, err := n.List(t.Context(), query)
		if err != nil {
			return ids, err
		}
		for _, s := range page.Sessions {
			ids = append(ids, s.ID)
		}
		if query.PageToken = page.NextPageToken; query.PageToken == "" {
			return ids, nil
		}
	}
}

func wantSameIDs(t *testing.T, what string, got, want []string) {
	t.Helper()
	got, want = slices.Clone(got), slices.Clone(want)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("%s: %d ids, want %d", what, len(got), len(want))
	}
}

// TestListsInAnOutage: at the defaults the sessions of a user, and all, are listed
// whole: those that only other processes have seen, those of the outage, and none that
// was ended in it.
func TestListsInAnOutage(t *testing.T) {
	shared := newShared(t)
	mine, others := fill(t, shared, "ada", 250), fill(t, shared, "bob", 30)
	n := newNode(t, shared, failover.Options{})
	n.awaitWhole(t)
	n.cut.Store(true)
	for range 25 {
		mine = append(mine, n.create(t, "ada"))
	}
	for _, id := range append(slices.Clone(mine[:20]), mine[250:255]...) {
		if ok, err := n.Delete(t.Context(), id); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	mine = append(mine[20:250:250], mine[255:]...)
	for _, size := range []int{7, 1000} {
		got, err := listed(t, n, perdure.ListQuery{UserID: "ada", PageSize: size})
		if err != nil {
			t.Fatal(err)
		}
		wantSameIDs(t, "a user's sessions", got, mine)
		if got, err = listed(t, n, perdure.ListQuery{PageSize: size}); err != nil {
			t.Fatal(err)
		}
		wantSameIDs(t, "all sessions", got, append(slices.Clone(mine), others...))
	}
	if ended, err := n.RevokeUser(t.Context(), "ada", mine[0]); err != nil || ended != len(mine)-1 {
		t.Errorf("revoked %d of %d, %v", ended, len(mine)-1, err)
	}
	if ended, err := n.RevokeUser(t.Context(), "ada", mine[0]); err != nil || ended != 0 {
		t.Errorf("revoked %d once more, %v", ended, err)
	}
	n.want(t, true, mine[0])
	n.want(t, false, mine[1:]...)
	got, err := listed(t, n, perdure.ListQuery{UserID: "ada", PageSize: 9})
	if err != nil {
		t.Fatal(err)
	}
	wantSameIDs(t, "who was spared", got, mine[:1])
	n.cut.Store(false)
	n.await(t, failover.Healthy)
	n.want(t, true, append(others, mine[0])...)
	n.want(t, false, mine[1:]...)
}

// TestAReadWritesNothing: what is only read in an outage leaves nothing in the
// journal, and a revocation no more than what ends the sessions.
func TestAReadWritesNothing(t *testing.T) {
	shared := newShared(t)
	ids := fill(t, shared, "ada", 3000)
	n := newNode(t, shared, failover.Options{Mirror: failover.MirrorFull})
	n.awaitWhole(t)
	n.cut.Store(true)
	if page, err := n.List(t.Context(), perdure.ListQuery{UserID: "ada", PageSize: 10}); err != nil || len(page.Sessions) != 10 {
		t.Fatal(page, err)
	}
	if depth := n.failover.Health(t.Context()).JournalDepth; depth != 0 {
		t.Errorf("a page of 10 has put %d records into the journal", depth)
	}
	if ended, err := n.RevokeUser(t.Context(), "ada", ids[0]); err != nil || ended != len(ids)-1 {
		t.Errorf("revoked %d of %d, %v", ended, len(ids)-1, err)
	}
	n.want(t, true, ids[0])
	n.want(t, false, ids[1:]...)
	if depth := n.failover.Health(t.Context()).JournalDepth; depth != 1 {
		t.Errorf("a revocation and reads have put %d records into the journal", depth)
	}
}

// fillJournal writes to the node until it takes no more.
func (n *node) fillJournal(t *testing.T) {
	t.Helper()
	for range 10_000 {
		if _, err := n.Create(t.Context(), perdure.Data{UserID: "filler"}); err != nil {
			if !errors.Is(err, perdure.ErrFull) {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("the journal is never full")
}

// TestAFullJournalTakesEnds: everybody who is known here can log out and be revoked
// when there is no room for anything else.
func TestAFullJournalTakesEnds(t *testing.T) {
	shared := newShared(t)
	ids := fill(t, shared, "ada", 1500)
	var users []string
	for i := range 100 {
		users = append(users, fmt.Sprint("user", i))
		ids = append(ids, fill(t, shared, users[i], 1)...)
	}
	n := newNode(t, shared, failover.Options{Mirror: failover.MirrorFull, MaxJournalBytes: 64 << 10, Dir: t.TempDir()})
	n.awaitWhole(t)
	n.cut.Store(true)
	n.fillJournal(t)
	refused := 0
	for _, id := range ids[:1500] {
		if ok, err := n.Delete(t.Context(), id); !ok || err != nil {
			refused++
			t.Logf("%v, %v", ok, err)
		}
	}
	if refused > 0 {
		t.Errorf("%d of 1500 logouts refused", refused)
	}
	refused = 0
	for _, user := range users {
		if ended, err := n.RevokeUser(t.Context(), user); ended != 1 || err != nil {
			refused++
		}
	}
	if refused > 0 {
		t.Errorf("%d of 100 revocations refused", refused)
	}
	if ok, err := n.Delete(t.Context(), perdure.NewID(3)); !ok || err != nil {
		t.Errorf("a logout of who is not known here: %v, %v", ok, err)
	}
	n.want(t, false, ids...)
	n.cut.Store(false)
	n.await(t, failover.Healthy)
	n.want(t, false, ids...)
	newNode(t, shared, failover.Options{}).want(t, false, ids...)
}
