package redis

import (
	"slices"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
)

// TestACallerWhoseClockIsAheadSweepsNobody: what is due says the server's clock.
func TestACallerWhoseClockIsAheadSweepsNobody(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	const sessions = 50
	var ids []string
	for range sessions {
		s := session("u")
		s.Idle = 30_000
		if err := put(t.Context(), b, s); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, s.ID)
	}
	for _, ahead := range []perdure.Millis{40_000, 2 * 3600_000, 40 * 86_400_000} {
		for more := true; more; {
			var err error
			if _, more, err = b.Sweep(t.Context(), now()+ahead, 20); err != nil {
				t.Fatal(err)
			}
		}
		records, err := b.Load(t.Context(), ids)
		if err != nil {
			t.Fatal(err)
		}
		gone := 0
		for _, r := range records {
			if r.Kind != perdure.KindSession {
				gone++
			}
		}
		if gone > 0 {
			t.Fatalf("%d ms ahead: %d of %d sessions in use are swept", ahead, gone, sessions)
		}
	}
}

// TestWhatIsToLeaveATombstoneIsThereForTheSweep: Redis drops no key of a session before
// the time that its tombstone stands until, whichever way it was written.
func TestWhatIsToLeaveATombstoneIsThereForTheSweep(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	of := func(minted, shortened bool) perdure.Record {
		s := session("u")
		s.Horizon, s.Promised = s.Expiry+3*86_400_000, s.Expiry
		if minted {
			s.ID = perdure.NewOutageID(s.User.Partition(), time.Now())
		}
		if shortened {
			s.Promised++
		}
		return s
	}
	var all []perdure.Record
	for _, minted := range []bool{true, false} {
		for _, shortened := range []bool{true, false} {
			one, many := of(minted, shortened), []perdure.Batch(nil)
			if err := put(t.Context(), b, one); err != nil {
				t.Fatal(err)
			}
			all = append(all, one)
			for range 2 * leastFill {
				s := of(minted, shortened)
				many, all = append(many, perdure.Batch{{Op: perdure.OpPut, Record: s}}), append(all, s)
			}
			results, err := b.Apply(t.Context(), many)
			if err != nil || slices.ContainsFunc(results, func(r perdure.Result) bool { return r.Outcome != perdure.Applied }) {
				t.Fatal(results, err)
			}
			whole := of(minted, false)
			if err := put(t.Context(), b, whole); err != nil {
				t.Fatal(err)
			}
			changed := whole
			changed.Version.Time++
			if shortened {
				changed.Expiry -= 1000
			}
			result, err := b.Apply(t.Context(), []perdure.Batch{{{Op: perdure.OpPut, Record: changed, Base: whole.Version}}})
			if err != nil || result[0].Outcome != perdure.Applied {
				t.Fatal(result, err)
			}
			all = append(all, changed)
		}
	}
	for i := range all {
		s := &all[i]
		until := s.Expiry
		if s.Lingers(now(), b.encoder.skew) {
			until = s.Horizon + b.encoder.skew
		}
		left, err := server.Do("PTTL", b.keys.record(s.ID))
		if err != nil {
			t.Fatal(err)
		}
		ends := now() + perdure.Millis(left.(int64))
		if ends < until || ends > until+reapGrace+reapEvery+60_000 {
			t.Errorf("%s (promised %d ms more): the key ends %d ms after it has to last to", s.ID, s.Promised-s.Expiry, ends-until)
		}
	}
}
