package redis

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
)

// sessionsOf are the ids of the user's sessions, in their order.
func sessionsOf(t *testing.T, b *Backend, user perdure.UserKey) []string {
	t.Helper()
	page, err := b.ListUser(t.Context(), user, "", 100)
	if err != nil {
		t.Fatal(err)
	}
	if !allOf(page.Records, user) {
		t.Fatalf("the list has what is no session of the user: %+v", page.Records)
	}
	return sorted(idsOf(page.Records))
}

// warmList lists until the near cache has all sessions of the user.
func warmList(t *testing.T, b *Backend, user perdure.UserKey) {
	t.Helper()
	for range 1000 {
		ids := sessionsOf(t, b, user)
		_, listed, _ := b.near.list(b.keys.index(user))
		if listed && !slices.ContainsFunc(ids, func(id string) bool { return !b.near.has(id) }) {
			return
		}
	}
	t.Fatal("the near cache does not take in the list")
}

// A list that the near cache holds whole asks the server nothing.
func TestAListCostsNoRoundTrip(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	first, second := session("u"), session("u")
	for _, r := range []perdure.Record{first, second} {
		if err := put(t.Context(), b, r); err != nil {
			t.Fatal(err)
		}
	}
	warmList(t, b, first.User)
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	page, err := b.ListUser(t.Context(), first.User, "", 2)
	if err != nil || len(page.Records) != 2 || page.Next != "" {
		t.Errorf("from the near cache: %+v, %v", page, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if page, err := b.ListUser(ctx, first.User, "", 1); err == nil {
		t.Errorf("a page that is shorter than the list: %+v", page)
	}
	if err := server.Continue(); err != nil {
		t.Fatal(err)
	}
	if page, err := b.ListUser(t.Context(), first.User, "", 1); err != nil || len(page.Records) > 1 || page.Next == "" {
		t.Errorf("a page that is shorter than the list: %+v, %v", page, err)
	}
}

// What this process does to a user's sessions its next list shows.
func TestAListShowsWhatWasDoneHere(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	kept := session("u")
	if err := put(t.Context(), b, kept); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		warmList(t, b, kept.User)
		r := session("u")
		if err := put(t.Context(), b, r); err != nil {
			t.Fatal(err)
		}
		if got, want := sessionsOf(t, b, kept.User), sorted([]string{kept.ID, r.ID}); !slices.Equal(got, want) {
			t.Fatalf("after a login: %v, want %v", got, want)
		}
		warmList(t, b, kept.User)
		if err := remove(t.Context(), b, r); err != nil {
			t.Fatal(err)
		}
		if got := sessionsOf(t, b, kept.User); !slices.Equal(got, []string{kept.ID}) {
			t.Fatalf("after a logout: %v, want %v", got, kept.ID)
		}
	}
	warmList(t, b, kept.User)
	epoch := epochNow(kept.User)
	if _, err := b.RemoveUser(t.Context(), perdure.UserRemoval{Epoch: epoch, Reason: perdure.ReasonUserRevoked}); err != nil {
		t.Fatal(err)
	}
	if got := sessionsOf(t, b, kept.User); len(got) != 0 {
		t.Errorf("after a revocation: %v", got)
	}
}

// What another process does is shown within milliseconds, and a session that is
// rotated is there all the time, under one id or the other.
func TestAListFollowsOtherProcesses(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	other, err := perdure.New(open(t, Options{URL: server.URL()}), perdure.Options{SweepInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	user := perdure.HashUser("u")
	session, err := other.Create(t.Context(), perdure.Data{UserID: "u"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 200 {
		warmList(t, b, user)
		rotated, err := other.Rotate(t.Context(), session.ID, 0)
		if err != nil {
			t.Fatal(err)
		}
		awaitList(t, b, user, func(got []string) bool {
			if len(got) != 1 {
				t.Fatalf("in rotation %d: %v, of %s and %s", i, got, session.ID, rotated.ID)
			}
			return got[0] == rotated.ID
		})
		session = rotated
	}
	warmList(t, b, user)
	more, err := other.Create(t.Context(), perdure.Data{UserID: "u"})
	if err != nil {
		t.Fatal(err)
	}
	awaitList(t, b, user, func(got []string) bool { return slices.Equal(got, sorted([]string{session.ID, more.ID})) })
	warmList(t, b, user)
	if _, err := other.RevokeUser(t.Context(), "u"); err != nil {
		t.Fatal(err)
	}
	awaitList(t, b, user, func(got []string) bool { return len(got) == 0 })
}

// awaitList lists until the list is as it should be.
func awaitList(t *testing.T, b *Backend, user perdure.UserKey, right func(ids []string) bool) {
	t.Helper()
	last := ""
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		ids := sessionsOf(t, b, user)
		if right(ids) {
			return
		}
		last = fmt.Sprint(ids)
	}
	t.Fatalf("the list stays %s", last)
}
