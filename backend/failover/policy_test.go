package failover_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/backend/local"
)

// reads and writes are what a policy allows or not.
func reads(n *node, id string) error { _, err := n.Get(context.Background(), id); return err }
func writes(n *node, id string) error {
	_, err := n.Update(context.Background(), id, perdure.Patch{Roles: []string{"r"}})
	return err
}
func ends(n *node, id string) error { _, err := n.Delete(context.Background(), id); return err }

func TestPolicies(t *testing.T) {
	for name, c := range map[string]struct {
		options              failover.Options
		after                time.Duration
		reads, writes, ended error
	}{
		"serve":               {},
		"read-only":           {options: failover.Options{Outage: failover.OutageReadOnly}, writes: perdure.ErrUnavailable, ended: perdure.ErrUnavailable},
		"refuse":              {options: failover.Options{Outage: failover.OutageRefuse}, reads: perdure.ErrUnavailable, writes: perdure.ErrUnavailable, ended: perdure.ErrUnavailable},
		"within the age":      {options: failover.Options{MaxAge: time.Minute}, after: 30 * time.Second},
		"beyond the age":      {options: failover.Options{MaxAge: time.Minute}, after: 2 * time.Minute, reads: perdure.ErrUnavailable, writes: perdure.ErrUnavailable},
		"a journal too small": {options: failover.Options{MaxJournalBytes: 64 << 10}},
	} {
		t.Run(name, func(t *testing.T) {
			var ahead atomic.Int64
			c.options.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
			n := newNode(t, newShared(t), c.options)
			id := n.create(t, "u")
			n.cut.Store(true)
			_, _ = n.Get(t.Context(), perdure.NewID(0)) // notices
			ahead.Store(int64(c.after))
			for what, got := range map[string][2]error{"reads": {reads(n, id), c.reads}, "writes": {writes(n, id), c.writes}} {
				if !errors.Is(got[0], got[1]) {
					t.Errorf("%s: %v, not %v", what, got[0], got[1])
				}
			}
			if err := ends(n, id); !errors.Is(err, c.ended) {
				t.Errorf("ends: %v, not %v", err, c.ended)
			}
		})
	}
}

// TestTheJournalIsBounded: what does not fit is refused, not dropped, and a logout
// still fits.
func TestTheJournalIsBounded(t *testing.T) {
	var ahead atomic.Int64
	n := newNode(t, newShared(t), failover.Options{
		MaxJournalBytes: 64 << 10, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
	})
	n.cut.Store(true)
	var made []string
	var err error
	for err == nil {
		var s perdure.Session
		if s, err = n.Create(t.Context(), perdure.Data{UserID: "u"}); err == nil {
			made = append(made, s.ID)
		}
		if len(made) > 1000 {
			t.Fatal("64 KiB hold more than 1000 sessions")
		}
	}
	if !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("refused with %v", err)
	}
	n.want(t, true, made...)
	if ok, err := n.Delete(t.Context(), made[0]); !ok || err != nil {
		t.Errorf("a logout: %v, %v", ok, err)
	}
	ahead.Store(int64(25 * time.Hour))
	if _, err := n.Touch(t.Context(), made[1]); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("a touch with an entry older than a day: %v", err)
	}
	if ok, err := n.Delete(t.Context(), perdure.NewID(3)); !ok || err != nil {
		t.Errorf("a logout with an entry older than a day: %v, %v", ok, err)
	}
	if _, err := n.RevokeUser(t.Context(), "v"); err != nil {
		t.Errorf("a revocation with an entry older than a day: %v", err)
	}
	ahead.Store(0)
	n.cut.Store(false)
	n.await(t, failover.Healthy)
	n.want(t, true, made[1:]...)
	n.want(t, false, made[0])
}

// TestReLogin: who was lost stays lost, but not who was logged out.
func TestReLogin(t *testing.T) {
	var ahead atomic.Int64
	shared := newShared(t)
	n := newNode(t, shared, failover.Options{
		DataLoss: failover.DataLossRelogin, Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
	})
	kept, out := n.create(t, "u"), n.create(t, "u")
	before := stored(t, shared, out)
	if ok, err := n.Delete(t.Context(), out); !ok || err != nil {
		t.Fatal(ok, err)
	}
	ahead.Store(int64(5 * time.Minute))
	if err := shared.(*local.Backend).Forget(t.Context(), []perdure.Record{stored(t, shared, kept)}); err != nil {
		t.Fatal(err)
	}
	turnBack(t, shared, before)
	n.want(t, false, kept, out)
}

// TestAListAcrossAnOutage cannot go on where it was, and says so.
func TestAListAcrossAnOutage(t *testing.T) {
	n := newNode(t, newShared(t), failover.Options{Mirror: failover.MirrorFull})
	for range 3 {
		n.create(t, "u")
	}
	page, err := n.failover.ListUser(t.Context(), perdure.HashUser("u"), "", 2)
	if err != nil || page.Next == "" {
		t.Fatal(page, err)
	}
	all, err := n.failover.Scan(t.Context(), perdure.ScanQuery{Limit: 2})
	if err != nil || all.Next == "" {
		t.Fatal(all, err)
	}
	for deadline := time.Now().Add(time.Minute); !n.failover.Health(t.Context()).MirrorWhole; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the mirror is never whole")
		}
	}
	if _, err := n.failover.ListUser(t.Context(), perdure.HashUser("u"), "nonsense", 2); !errors.Is(err, perdure.ErrInvalid) {
		t.Errorf("a cursor of nobody: %v", err)
	}
	n.cut.Store(true)
	n.want(t, true, n.create(t, "v"))
	gone := func(after, scan string) {
		t.Helper()
		if _, err := n.failover.ListUser(t.Context(), perdure.HashUser("u"), after, 2); !errors.Is(err, perdure.ErrListExpired) || errors.Is(err, perdure.ErrUnavailable) {
			t.Errorf("the next page: %v", err)
		}
		if _, err := n.failover.Scan(t.Context(), perdure.ScanQuery{After: scan}); !errors.Is(err, perdure.ErrListExpired) || errors.Is(err, perdure.ErrUnavailable) {
			t.Errorf("the next page of a scan: %v", err)
		}
	}
	gone(page.Next, all.Next)
	if page, err = n.failover.ListUser(t.Context(), perdure.HashUser("u"), "", 2); err != nil || len(page.Records) != 2 {
		t.Fatal(page, err)
	}
	if all, err = n.failover.Scan(t.Context(), perdure.ScanQuery{Limit: 2}); err != nil || all.Next == "" {
		t.Fatal(all, err)
	}
	first := page.Next
	if page, err = n.failover.ListUser(t.Context(), perdure.HashUser("u"), page.Next, 2); err != nil || len(page.Records) != 1 {
		t.Error(page, err)
	}
	n.cut.Store(false)
	n.await(t, failover.Healthy)
	gone(first, all.Next)
}

// snapped is a store that is cut off after the first page of a list.
type snapped struct{ cable }

func (s snapped) ListUser(ctx context.Context, user perdure.UserKey, after string, _ int) (perdure.Page, error) {
	page, err := s.cable.ListUser(ctx, user, after, 2)
	if page.Next != "" {
		s.cut.Store(true)
	}
	return page, err
}

// TestAnOutageInTheMiddleOfAList: what goes through the pages itself begins anew, and
// has each session once.
func TestAnOutageInTheMiddleOfAList(t *testing.T) {
	n := &node{cut: &atomic.Bool{}}
	front := snapped{cable{newShared(t), n.cut}}
	n.open(t, failover.Options{Mirror: failover.MirrorFull, Open: func(context.Context) (perdure.Backend, error) { return front, front.err() }})
	for range 5 {
		n.create(t, "u")
	}
	n.awaitWhole(t)
	sessions, err := n.GetByUserID(t.Context(), "u")
	if len(sessions) != 5 || err != nil {
		t.Errorf("got %d of 5 sessions, %v", len(sessions), err)
	}
	if h := n.failover.Health(t.Context()); h.State != failover.Degraded {
		t.Errorf("the list did not meet the outage: %s", h.State)
	}
}

// TestManyOfWhichOneCannotBeAnswered: it is named, and the others are given.
func TestManyOfWhichOneCannotBeAnswered(t *testing.T) {
	shared := newShared(t)
	n, other := newNode(t, shared, failover.Options{Mirror: failover.MirrorSeen}), newNode(t, shared, failover.Options{})
	known, out, unknown := n.create(t, "u"), n.create(t, "u"), other.create(t, "u")
	check := func(ids ...string) {
		t.Helper()
		sessions, missing, err := n.GetMany(t.Context(), ids)
		unanswered, ok := errors.AsType[*perdure.UnansweredError](err)
		if !ok || !errors.Is(err, perdure.ErrUnavailable) || !slices.Equal(unanswered.IDs, ids[2:3]) {
			t.Fatalf("not answered: %v", err)
		}
		if len(sessions) != 1 || sessions[0].ID != known || !slices.Equal(missing, []string{ids[1]}) {
			t.Errorf("beside it: %v, missing %v", sessions, missing)
		}
	}
	n.cut.Store(true)
	if ok, err := n.Delete(t.Context(), out); !ok || err != nil {
		t.Fatal(ok, err)
	}
	check(known, out, unknown)
	if _, _, err := n.GetMany(t.Context(), []string{unknown}); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("alone: %v", err)
	}
	n.cut.Store(false)
	n.await(t, failover.Healthy)
	n.want(t, false, out)
	check(known, out, perdure.NewOutageID(3, time.Now())) // minted elsewhere, and not merged yet
}

// TestRevocationsComeFirst: before anybody is served by the front store again it
// knows who was revoked meanwhile.
func TestRevocationsComeFirst(t *testing.T) {
	shared := newShared(t)
	known := make(chan bool, 100)
	n := newNode(t, shared, failover.Options{Notify: func(tr failover.Transition) {
		if tr.To == failover.Recovering {
			epoch, err := shared.Get(context.Background(), perdure.EpochID(perdure.HashUser("u")))
			known <- err == nil && epoch.Exists()
		}
	}})
	<-known // at the start
	n.cut.Store(true)
	if _, err := n.RevokeUser(t.Context(), "u"); err != nil {
		t.Fatal(err)
	}
	n.cut.Store(false)
	n.await(t, failover.Healthy)
	if !<-known {
		t.Error("it was served before the revocation was merged")
	}
}

// TestJournalsOfOneDirectory: each process has its own; the next to start takes
// over what one has left that is gone.
func TestJournalsOfOneDirectory(t *testing.T) {
	shared, options := newShared(t), failover.Options{Dir: t.TempDir()}
	one, two := newNode(t, shared, options), newNode(t, shared, options)
	var ids []string
	for _, n := range []*node{one, two} {
		n.cut.Store(true)
		ids = append(ids, n.create(t, "u"))
	}
	for _, n := range []*node{one, two} {
		if err := n.Store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	last := newNode(t, shared, options)
	last.want(t, true, ids...)
}
