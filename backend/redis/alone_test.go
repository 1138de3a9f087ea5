package redis

import (
	"slices"
	"strconv"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
)

// What is cut short is as it was read, or is left: nobody's change is lost, and nothing
// that has ended is a session again.
func TestCutShort(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	var ends []perdure.Record
	var bases []perdure.Version
	for range 4 {
		r := session("u")
		if err := put(t.Context(), b, r); err != nil {
			t.Fatal(err)
		}
		bases = append(bases, r.Version)
		r.Promised, r.Expiry, r.Version.Time = r.Expiry, r.Born.Millis(), r.Version.Time+1
		r.ExpirySet = r.Version
		ends = append(ends, r)
	}
	ends[1].LastAccess-- // it was touched since
	bases[2].Time--      // it was changed since
	tomb := perdure.Record{ID: ends[3].ID, Header: perdure.Header{Version: bases[3], Reason: perdure.ReasonLogout}}
	if got, err := b.Apply(t.Context(), []perdure.Batch{{{Op: perdure.OpRemove, Record: tomb}}}); err != nil || got[0].Err != nil {
		t.Fatal(got, err)
	}
	warm(t, b, ends[0].ID)
	from, err := b.Changes(t.Context(), perdure.FromNow, 10, 0)
	if err != nil {
		t.Fatal(err)
	}
	before := ttl(t, server, b.keys.record(ends[0].ID))
	done, err := b.CutShort(t.Context(), ends, bases)
	if want := []bool{true, false, false, false}; err != nil || !slices.Equal(done, want) {
		t.Fatalf("cut short: %v, %v, want %v", done, err, want)
	}
	records, err := b.Load(t.Context(), idsOf(ends))
	if err != nil {
		t.Fatal(err)
	}
	if records[0] != ends[0] || records[1].Version != bases[1] || records[2].Version == ends[2].Version || records[3].Kind != perdure.KindTombstone {
		t.Errorf("then there are %+v", records)
	}
	if after := ttl(t, server, b.keys.record(ends[0].ID)); after != before {
		t.Errorf("the key lives until %d, before until %d", after, before)
	}
	batch, err := b.Changes(t.Context(), from.Next, 10, 0)
	if err != nil || len(batch.Changes) != 1 || batch.Changes[0].Kind != perdure.Updated || batch.Changes[0].ID != ends[0].ID || batch.Changes[0].Version != ends[0].Version {
		t.Errorf("the feed tells %+v, %v", batch.Changes, err)
	}
}

// ttl is when a key ends, in seconds.
func ttl(t *testing.T, s *redistest.Server, key string) int64 {
	t.Helper()
	at, err := s.Do("EVAL", "local t = redis.call('TIME') return tostring(math.floor(t[1] + t[2] / 1000000 + redis.call('PTTL', KEYS[1]) / 1000 + 0.5))", "1", key)
	if err != nil {
		t.Fatal(err)
	}
	seconds, err := strconv.ParseInt(at.(string), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return seconds
}
