package redis

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
)

// until is when Redis drops a key by itself.
func until(t *testing.T, server *redistest.Server, key string) perdure.Millis {
	t.Helper()
	ttl, err := server.Do("PTTL", key)
	if err != nil {
		t.Fatal(err)
	}
	if ttl.(int64) < 0 {
		t.Fatalf("%s has no TTL: %d", key, ttl)
	}
	return now() + perdure.Millis(ttl.(int64))
}

func living(user string, life time.Duration) perdure.Record {
	r := session(user)
	r.Expiry = r.LastAccess + perdure.Millis(life.Milliseconds())
	r.Horizon = r.Expiry
	return r
}

// No key outlives its use by much, and none ends before it: neither a record nor
// the index of a user, whatever is written after it.
func TestKeysHaveAnEnd(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	long, short := living("u", 30*24*time.Hour), living("u", time.Second)
	for _, r := range []perdure.Record{long, short} {
		if err := put(t.Context(), b, r); err != nil {
			t.Fatal(err)
		}
		end := until(t, server, b.keys.record(r.ID))
		if end < r.Expiry+reapGrace-2000 || end > r.Expiry+reapGrace+reapEvery+2000 {
			t.Errorf("a record that expires at %d is dropped at %d", r.Expiry, end)
		}
	}
	index := b.keys.partitions[long.User.Partition()].users + string(long.User)
	if end := until(t, server, index); end < long.Expiry+reapGrace-2000 {
		t.Errorf("the index of a user with a session until %d is dropped at %d", long.Expiry, end)
	}
	longer := long
	longer.Version = perdure.NewClock(nil).Tick(long.Version)
	longer.Expiry += 86_400_000
	longer.Horizon = longer.Expiry
	results, err := b.Apply(t.Context(), []perdure.Batch{{{Op: perdure.OpPut, Record: longer, Base: long.Version}}})
	if err != nil || results[0].Outcome != perdure.Applied {
		t.Fatalf("%+v, %v", results, err)
	}
	if end := until(t, server, index); end < longer.Expiry+reapGrace-2000 {
		t.Errorf("the index of a user with a session extended to %d is dropped at %d", longer.Expiry, end)
	}
	if err := remove(t.Context(), b, longer); err != nil {
		t.Fatal(err)
	}
	if end := until(t, server, b.keys.record(long.ID)); end < longer.Horizon+b.encoder.skew {
		t.Errorf("a tombstone with the horizon %d is dropped at %d", longer.Horizon, end)
	}
}

// Where nobody sweeps, the dead do not pile up in the index of a user who comes
// back again and again.
func TestTheIndexOfAUserIsTrimmed(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	r := session("u")
	index := b.keys.partitions[r.User.Partition()].users + string(r.User)
	for _, dead := range []string{"dead-session-000001", "dead-session-000002"} {
		if _, err := server.Do("ZADD", index, "1000", dead); err != nil {
			t.Fatal(err)
		}
	}
	if err := put(t.Context(), b, r); err != nil {
		t.Fatal(err)
	}
	members, err := server.Do("ZCARD", index)
	if err != nil || members != int64(2) { // the session and the index's own
		t.Errorf("the index has %v members, %v", members, err)
	}
}

func TestReapIsLateEnoughAndSoon(t *testing.T) {
	for partition := range perdure.Partitions {
		for _, end := range []perdure.Millis{0, 1_700_000_000_000, 1_700_000_000_001, perdure.MaxMillis} {
			for _, at := range []perdure.Millis{1_600_000_000_000, 1_800_000_000_000} {
				var got perdure.Millis
				for _, digit := range reap(partition, end, at) {
					got = got*10 + perdure.Millis(digit-'0')
				}
				got *= 1000
				least := max(end, at) + reapGrace - 1000
				if got < least || got > least+reapEvery+1000 {
					t.Fatalf("partition %d: what ends at %d is dropped at %d", partition, end, got)
				}
			}
		}
	}
}

// Creates of one call are each held against the epoch of their own user.
func TestEpochsOfManyCreates(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	revoked := map[int]bool{0: true, 3: true, 4: true, 9: true}
	var before, epochs, creates []perdure.Batch
	for i := range 10 {
		user := fmt.Sprint("user", i)
		before = append(before, perdure.Batch{{Op: perdure.OpPut, Record: session(user)}})
		born := session(user)
		creates = append(creates, perdure.Batch{{Op: perdure.OpPut, Record: born}})
		if revoked[i] {
			epoch := born
			epoch.ID, epoch.Kind, epoch.Body = perdure.EpochID(born.User), perdure.KindEpoch, ""
			epoch.Version.Time++
			epochs = append(epochs, perdure.Batch{{Op: perdure.OpPut, Record: epoch}})
		}
	}
	touched := before[5][0].Record
	touch := perdure.Batch{{Op: perdure.OpTouch, Record: perdure.Record{ID: touched.ID, Header: perdure.Header{LastAccess: touched.LastAccess + 1}}}}
	for _, batches := range [][]perdure.Batch{before, epochs} {
		results, err := b.Apply(t.Context(), batches)
		if err != nil || slices.ContainsFunc(results, func(r perdure.Result) bool { return r.Outcome != perdure.Applied }) {
			t.Fatalf("%+v, %v", results, err)
		}
	}
	results, err := b.Apply(t.Context(), slices.Insert(creates, 7, touch))
	if err != nil {
		t.Fatal(err)
	}
	for i, result := range slices.Delete(results, 7, 8) {
		if met := result.Outcome == perdure.Conflict && result.Stored.Kind == perdure.KindEpoch; met != revoked[i] || !met && result.Outcome != perdure.Applied {
			t.Errorf("of user%d, whose sessions were revoked: %v, came %+v", i, revoked[i], result)
		}
	}
}
