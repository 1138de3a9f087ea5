package redis

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
)

// crowd is sessions of one partition, of users with different numbers of them,
// and of lives that end at different times.
func crowd(t *testing.T, clock *perdure.Clock, n int) (sessions []perdure.Record) {
	t.Helper()
	for u := 0; len(sessions) < n; u++ {
		user := perdure.HashUser(fmt.Sprint("user", u))
		if user.Partition() != 7 {
			continue
		}
		for i := range u%5 + 1 {
			born := clock.Tick()
			end := born.Millis() + perdure.Millis((time.Duration(i/3+1) * 7 * time.Hour).Milliseconds())
			sessions = append(sessions, perdure.Record{ID: perdure.NewID(7), Body: "body" + fmt.Sprint(u, i), Header: perdure.Header{
				Kind: perdure.KindSession, Version: born, Born: born, LastAccess: born.Millis(), Expiry: end, Horizon: end, User: user,
			}})
		}
	}
	return sessions[:n]
}

// contents is what a server holds under a prefix, but for the ids of streams, which
// are times, and the least of index entries.
func contents(t *testing.T, server *redistest.Server, prefix string) (all []string) {
	t.Helper()
	keys, err := server.Do("KEYS", prefix+"*")
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys.([]any) {
		kind, err := server.Do("TYPE", key.(string))
		if err != nil {
			t.Fatal(err)
		}
		command := map[any][]string{"string": {"GET"}, "zset": {"ZRANGE", "", "0", "-1", "WITHSCORES"}, "stream": {"XRANGE", "", "-", "+"}}[kind]
		if len(command) == 1 {
			command = append(command, "")
		}
		command[1] = key.(string)
		value, err := server.Do(command...)
		if err != nil {
			t.Fatal(err)
		}
		if kind == "stream" {
			var changes []string
			for _, entry := range value.([]any) {
				packed := entry.([]any)[1].([]any)[1].(string)
				for len(packed) > 0 { // each change after its length
					n := 1 + int(packed[0])
					changes, packed = append(changes, packed[:n]), packed[n:]
				}
			}
			slices.Sort(changes)
			value = changes
		}
		ends, _ := server.Do("EXPIRETIME", key.(string)) // from Redis 7.0 on
		all = append(all, fmt.Sprintf("%s %q %v", strings.TrimPrefix(key.(string), prefix), value, ends))
	}
	slices.Sort(all)
	return all
}

// TestFill: many sessions at once leave the same behind as each by itself, to the
// last key, and are told the same, whatever they meet.
func TestFill(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	open := func(prefix string) *Backend {
		b, err := Open(t.Context(), Options{URL: server.URL(), Prefix: prefix, Timeout: 20 * time.Second})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return b
	}
	single, many := open("single:"), open("many:")
	clock := perdure.NewClock(nil)
	sessions := crowd(t, clock, 300)
	var batches []perdure.Batch
	add := func(records ...perdure.Record) (added []perdure.Batch) {
		for _, r := range records {
			added = append(added, perdure.Batch{{Op: perdure.OpPut, Record: r, Reason: perdure.ReasonMerged}})
		}
		return added
	}
	// In their way are another state of some, the tombstones of some, what cannot
	// be read, and the epoch of a user.
	there := add(sessions[3], sessions[40], sessions[41])
	tomb := sessions[60]
	tomb.Kind, tomb.Reason, tomb.Body = perdure.KindTombstone, perdure.ReasonLogout, ""
	at := clock.TickOver()
	epoch := perdure.Record{ID: perdure.EpochID(sessions[80].User), Header: perdure.Header{
		Kind: perdure.KindEpoch, Version: at, Born: at, User: sessions[80].User, Expiry: sessions[80].Expiry, Horizon: sessions[80].Expiry,
	}}
	there = append(there, add(tomb, epoch)...)
	for _, b := range []*Backend{single, many} {
		if _, err := b.Apply(t.Context(), there); err != nil {
			t.Fatal(err)
		}
		if _, err := server.Do("SET", b.keys.record(sessions[100].ID), "\x09damaged", "EX", "1000000"); err != nil {
			t.Fatal(err)
		}
	}
	batches = add(sessions...)
	batches = slices.Insert(batches, 210, add(sessions[200], sessions[201])...) // once more
	var want []perdure.Result
	for _, batch := range batches {
		results, err := single.Apply(t.Context(), []perdure.Batch{batch})
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, results[0])
	}
	if n := many.fillable(batches, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}); n != 10 {
		t.Fatalf("%d of 10 are created at once", n)
	}
	got, err := many.Apply(t.Context(), batches)
	if err != nil {
		t.Fatal(err)
	}
	for i := range want {
		same := got[i].Outcome == want[i].Outcome && got[i].Stored == want[i].Stored && fmt.Sprint(got[i].Err) == fmt.Sprint(want[i].Err)
		if !same || errors.Is(want[i].Err, perdure.ErrFormat) != errors.Is(got[i].Err, perdure.ErrFormat) {
			t.Errorf("session %d: %+v\nby itself %+v", i, got[i], want[i])
		}
	}
	a, b := contents(t, server, "single:"), contents(t, server, "many:")
	if !slices.Equal(a, b) {
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("%d and %d keys; one by one  %s\nat once %s", len(a), len(b), a[i], b[i])
			}
		}
		t.Errorf("%d keys one by one, %d at once", len(a), len(b))
	}
}

// TestFillOfAFullServer: sessions that a full server refuses leave nothing behind.
func TestFillOfAFullServer(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b, err := Open(t.Context(), Options{URL: server.URL(), Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	clock := perdure.NewClock(nil)
	sessions := crowd(t, clock, 21)
	if err := put(t.Context(), b, sessions[20]); err != nil { // the server's clock is known then
		t.Fatal(err)
	}
	before := contents(t, server, "perdure:")
	if _, err := server.Do("CONFIG", "SET", "maxmemory", "1"); err != nil {
		t.Fatal(err)
	}
	var batches []perdure.Batch
	for _, r := range sessions[:20] {
		batches = append(batches, perdure.Batch{{Op: perdure.OpPut, Record: r}})
	}
	results, err := b.Apply(t.Context(), batches)
	if err != nil {
		t.Fatal(err)
	}
	for i := range results {
		if !errors.Is(results[i].Err, perdure.ErrFull) {
			t.Errorf("%+v", results[i])
		}
	}
	if after := contents(t, server, "perdure:"); !slices.Equal(before, after) {
		t.Errorf("left behind: %q", after)
	}
}
