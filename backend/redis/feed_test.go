package redis

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
)

// packed creates sessions in one call, whose changes share entries of the feed, and
// returns their ids.
func packed(t *testing.T, b *Backend, n int) (ids []string) {
	t.Helper()
	var batches []perdure.Batch
	for i := range n {
		r := session(fmt.Sprint("user", i))
		ids, batches = append(ids, r.ID), append(batches, perdure.Batch{{Op: perdure.OpPut, Record: r}})
	}
	results, err := b.Apply(t.Context(), batches)
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range results {
		if result.Outcome != perdure.Applied {
			t.Fatalf("%+v", result)
		}
	}
	return ids
}

// rest reads all changes after a cursor, so many at a time, and returns their ids.
func rest(t *testing.T, b *Backend, cursor string, limit int) (ids []string) {
	t.Helper()
	for {
		batch, err := b.Changes(t.Context(), cursor, limit, 0)
		if err != nil {
			t.Fatal(err)
		}
		if len(ids) > 1000 {
			t.Fatal("the changes do not end")
		}
		if len(batch.Changes) == 0 {
			return ids
		}
		for _, c := range batch.Changes {
			ids = append(ids, c.ID)
		}
		cursor = batch.Next
	}
}

// A cursor stands between two changes also where one entry has both, in whatever
// steps they are read.
func TestCursorsStandInsideEntries(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	first, err := b.Changes(t.Context(), perdure.FromNow, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	ids := packed(t, b, 11)
	if entries, err := server.Do("XLEN", b.feeds.keys[0]); err != nil || entries != int64(3) {
		t.Fatalf("11 changes of one call take %v entries, %v", entries, err)
	}
	cursor := first.Next
	for i, id := range ids {
		for _, limit := range []int{1, 3, 4, 100} {
			if got := rest(t, b, cursor, limit); !slices.Equal(got, ids[i:]) {
				t.Fatalf("after %d changes, %d at a time, come %v; want %v", i, limit, got, ids[i:])
			}
		}
		batch, err := b.Changes(t.Context(), cursor, 1, 0)
		if err != nil || len(batch.Changes) != 1 || batch.Changes[0].ID != id {
			t.Fatalf("%+v, %v", batch, err)
		}
		cursor = batch.Next
	}
	now, err := b.Changes(t.Context(), perdure.FromNow, 1, 0)
	if err != nil || now.Next != cursor {
		t.Fatalf("the cursor behind all is %s; from now on it is %s, %v", cursor, now.Next, err)
	}
	if got := rest(t, b, perdure.FromOldest, 2); !slices.Equal(got, ids) {
		t.Fatalf("from the oldest come %v; want %v", got, ids)
	}
}

// A feed that has let go of its oldest entries says so; one whose server has lost its
// data does not, however much was written since.
func TestAFeedThatWasTrimmedHasLostNothing(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL(), FeedLength: 400})
	packed(t, b, 3)
	start, err := b.Changes(t.Context(), perdure.FromNow, 10, 0)
	if err != nil {
		t.Fatal(err)
	}
	gap := func(what string, trimmed bool) {
		t.Helper()
		if _, err := b.Changes(t.Context(), start.Next, 10, 0); !errors.Is(err, perdure.ErrFeedGap) || errors.Is(err, perdure.ErrFeedTrimmed) != trimmed {
			t.Errorf("%s: %v", what, err)
		}
	}
	packed(t, b, 4000)
	gap("after many changes", true)
	if _, err := server.Do("FLUSHALL"); err != nil {
		t.Fatal(err)
	}
	gap("of an empty server", false)
	packed(t, b, 40)
	gap("of one that has some again", false)
}

// A cursor of a former version, or of a server that is a Cluster now, cannot be gone
// on from; its owner is told so, and where to begin.
func TestCursorsOfOtherFeedsAreAGap(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	packed(t, b, 3)
	for name, cursor := range map[string]string{
		"of a former version": formerCursor(),
		"of a Cluster":        make(positions, perdure.Partitions).String(),
	} {
		batch, err := b.Changes(t.Context(), cursor, 10, 0)
		if !errors.Is(err, perdure.ErrFeedGap) || len(batch.Changes) > 0 {
			t.Fatalf("a cursor %s: %+v, %v", name, batch, err)
		}
		ids := packed(t, b, 2)
		if got := rest(t, b, batch.Next, 10); !slices.Equal(got, ids) {
			t.Errorf("after a cursor %s come %v; want %v", name, got, ids)
		}
	}
}

// What a former version wrote to the feed is read; what cannot be read is an error.
func TestForeignEntriesOfTheFeed(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	r := session("u")
	former := perdure.Change{Kind: perdure.Deleted, Reason: perdure.ReasonLogout, ID: r.ID, User: r.User, Version: r.Version}
	add := func(value string) {
		t.Helper()
		if _, err := server.Do("XADD", b.feeds.keys[0], "*", "e", value); err != nil {
			t.Fatal(err)
		}
	}
	add(string(former.Append(nil)))
	batch, err := b.Changes(t.Context(), perdure.FromOldest, 10, 0)
	if err != nil || len(batch.Changes) != 1 {
		t.Fatalf("%+v, %v", batch, err)
	}
	got := batch.Changes[0]
	if got.At = 0; got != former {
		t.Errorf("read %+v; want %+v", got, former)
	}
	add("\xffcut short")
	if batch, err := b.Changes(t.Context(), batch.Next, 10, 0); !errors.Is(err, perdure.ErrFormat) {
		t.Errorf("an entry cut short: %+v, %v", batch, err)
	}
}

// What a script has done is in the feed also where it fails half-way.
func TestAFailedSweepIsAnnounced(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	r := session("u")
	r.Expiry = now() - 1000
	if err := put(t.Context(), b, r); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Do("SET", b.keys.partitions[r.User.Partition()].users+string(r.User), "no index"); err != nil {
		t.Fatal(err)
	}
	now, err := b.Changes(t.Context(), perdure.FromNow, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := b.Sweep(t.Context(), r.Expiry, 10); err == nil {
		t.Fatal("the index of a user is a string, and a sweep that meets it succeeds")
	}
	batch, err := b.Changes(t.Context(), now.Next, 10, 0)
	if err != nil || len(batch.Changes) != 1 || batch.Changes[0].Kind != perdure.Expired || batch.Changes[0].ID != r.ID {
		t.Errorf("the sweep dropped %s; the feed has %+v, %v", r.ID, batch.Changes, err)
	}
}

// FuzzUnpackChanges: nothing makes it panic, and it neither drops nor invents bytes.
func FuzzUnpackChanges(f *testing.F) {
	f.Add("")
	f.Add("\x01\x00former")
	f.Add("\x08eightchr\x07seven..")
	f.Add("\xffcut short")
	f.Fuzz(func(t *testing.T, entry string) {
		changes := unpackChanges(entry)
		var again strings.Builder
		for _, c := range changes {
			again.WriteByte(byte(len(c)))
			again.WriteString(c)
		}
		former := len(changes) == 1 && changes[0] == entry
		if len(changes) > 0 && !former && again.String() != entry {
			t.Errorf("%q is unpacked as %q", entry, changes)
		}
	})
}
