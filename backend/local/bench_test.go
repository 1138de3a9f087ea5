package local_test

import (
	"context"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// The benchmarks run 64 goroutines over sessions with bodies of 400 bytes, four
// a user, and, as the yardstick, a sync.Map from id to ready structs.

const stored = 100_000

func newSession(user perdure.UserKey, id string, clock *perdure.Clock, body string) perdure.Record {
	v := clock.Tick()
	return perdure.Record{ID: id, Body: body, Header: perdure.Header{
		Kind: perdure.KindSession, Version: v, Born: v, User: user,
		Expiry: v.Millis() + 86_400_000, Horizon: v.Millis() + 7*86_400_000, LastAccess: v.Millis(),
	}}
}

// newSessions makes n sessions, four a user, each with a body of its own.
func newSessions(n int) []perdure.Record {
	clock := perdure.NewClock(nil)
	body := strings.Repeat("x", 400)
	records := make([]perdure.Record, n)
	var user perdure.UserKey
	for i := range records {
		if i%4 == 0 {
			user = perdure.UserKeyFrom([16]byte(randomBytes(16)))
		}
		records[i] = newSession(user, perdure.NewID(user.Partition()), clock, strings.Clone(body))
	}
	return records
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

func put(r perdure.Record, base perdure.Version) perdure.Batch {
	return perdure.Batch{{Op: perdure.OpPut, Record: r, Base: base}}
}

func open(tb testing.TB, o local.Options) *local.Backend {
	tb.Helper()
	b, err := local.Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { b.Close() })
	return b
}

// fill stores the records, many at once.
func fill(tb testing.TB, b perdure.Backend, records []perdure.Record) {
	tb.Helper()
	batches := make([]perdure.Batch, len(records))
	for i, r := range records {
		batches[i] = put(r, perdure.Version{})
	}
	results, err := b.Apply(context.Background(), batches)
	if err != nil {
		tb.Fatal(err)
	}
	for _, r := range results {
		if r.Outcome != perdure.Applied {
			tb.Fatalf("not applied: %+v", r)
		}
	}
}

// parallel runs op from 64 goroutines on two cores, with a number that is new
// each time.
func parallel(b *testing.B, op func(n int)) {
	var next atomic.Int64
	b.SetParallelism(32)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			op(int(next.Add(1)))
		}
	})
}

func shuffled(records []perdure.Record) []string {
	ids := make([]string, len(records))
	for i, at := range rand.Perm(len(records)) {
		ids[i] = records[at].ID
	}
	return ids
}

func BenchmarkGet(b *testing.B) {
	records := newSessions(stored)
	ids := shuffled(records)
	var seen atomic.Int64
	b.Run("syncmap", func(b *testing.B) {
		var m sync.Map
		for i := range records {
			m.Store(records[i].ID, &records[i])
		}
		parallel(b, func(n int) {
			if r, ok := m.Load(ids[n%stored]); !ok || r.(*perdure.Record).Kind == 0 {
				seen.Add(1)
			}
		})
	})
	b.Run("memory", func(b *testing.B) {
		backend := open(b, local.Options{})
		fill(b, backend, records)
		ctx := context.Background()
		parallel(b, func(n int) {
			if r, err := backend.Get(ctx, ids[n%stored]); err != nil || !r.Exists() {
				seen.Add(1)
			}
		})
	})
	if seen.Load() > 0 {
		b.Fatalf("%d reads found nothing", seen.Load())
	}
}

func BenchmarkCreate(b *testing.B) {
	template := newSessions(1)[0]
	users := make([]perdure.UserKey, stored/4)
	for i := range users {
		users[i] = perdure.UserKeyFrom([16]byte(randomBytes(16)))
	}
	ids := func(n int) []string {
		ids := make([]string, n+1)
		for i := range ids {
			ids[i] = perdure.NewID(users[i%len(users)].Partition())
		}
		return ids
	}
	b.Run("syncmap", func(b *testing.B) {
		ids := ids(b.N)
		var m sync.Map
		parallel(b, func(n int) { m.Store(ids[n], template) })
	})
	for _, name := range []string{"memory", "file"} {
		b.Run(name, func(b *testing.B) {
			o := local.Options{MaxBytes: 1 << 40}
			if name == "file" {
				o.Dir = b.TempDir()
			}
			ids, backend, ctx := ids(b.N), open(b, o), context.Background()
			parallel(b, func(n int) {
				r := template
				r.ID, r.User = ids[n], users[n%len(users)]
				if results, err := backend.Apply(ctx, []perdure.Batch{put(r, perdure.Version{})}); err != nil || results[0].Outcome != perdure.Applied {
					panic(err)
				}
			})
		})
	}
}

func BenchmarkTouch(b *testing.B) {
	records := newSessions(stored)
	ids := shuffled(records)
	backend := open(b, local.Options{})
	fill(b, backend, records)
	ctx := context.Background()
	parallel(b, func(n int) {
		w := perdure.Write{Op: perdure.OpTouch, Record: perdure.Record{ID: ids[n%stored]}}
		w.Record.LastAccess = records[0].LastAccess + perdure.Millis(n%1000)
		if results, err := backend.Apply(ctx, []perdure.Batch{{w}}); err != nil || results[0].Outcome != perdure.Applied {
			panic(err)
		}
	})
}

// BenchmarkScan goes over a million records once.
func BenchmarkScan(b *testing.B) {
	backend := open(b, local.Options{MaxBytes: 1 << 40})
	const million = 1_000_000
	fill(b, backend, newSessions(million))
	for _, limit := range []int{100, 1000, 10_000} {
		b.Run(strconv.Itoa(limit), func(b *testing.B) {
			for b.Loop() {
				seen := 0
				for q := (perdure.ScanQuery{Limit: limit}); ; {
					page, err := backend.Scan(b.Context(), q)
					if err != nil {
						b.Fatal(err)
					}
					seen += len(page.Records)
					if q.After = page.Next; q.After == "" {
						break
					}
				}
				if seen != million {
					b.Fatalf("%d records", seen)
				}
			}
		})
	}
}

// BenchmarkSweep drops a million sessions that are due at once.
func BenchmarkSweep(b *testing.B) {
	const million = 1_000_000
	records := newSessions(million)
	for b.Loop() {
		b.StopTimer()
		backend := open(b, local.Options{MaxBytes: 1 << 40, Now: nextMonth})
		fill(b, backend, records)
		b.StartTimer()
		for more := true; more; {
			var err error
			if _, more, err = backend.Sweep(b.Context(), 1<<47, 1000); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkOpen reads a file of 100,000 sessions.
func BenchmarkOpen(b *testing.B) {
	o := local.Options{Dir: b.TempDir(), Timeout: time.Minute}
	backend := open(b, o)
	for range 10 {
		fill(b, backend, newSessions(stored/10))
	}
	backend.Close()
	for b.Loop() {
		open(b, o).Close()
	}
}

// BenchmarkStore is the whole way through a perdure.Store, beside a sync.Map
// that holds ready sessions.
func BenchmarkStore(b *testing.B) {
	ctx := context.Background()
	newStore := func(b *testing.B) *perdure.Store {
		store, err := perdure.New(open(b, local.Options{MaxBytes: 1 << 40}), perdure.Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { store.Close() })
		return store
	}
	data := func(n int) perdure.Data {
		return perdure.Data{UserID: "user-" + strconv.Itoa(n%50_000), Username: "john_doe", Roles: []string{"user"},
			Metadata: map[string]any{"note": strings.Repeat("x", 350)}}
	}
	create := func(b *testing.B, store *perdure.Store, n int) perdure.Session {
		session, err := store.Create(ctx, data(n))
		if err != nil {
			panic(err)
		}
		return session
	}
	b.Run("Get/syncmap", func(b *testing.B) {
		store := newStore(b)
		var m sync.Map
		ids := make([]string, stored)
		for i := range ids {
			session := create(b, store, i)
			m.Store(session.ID, session)
			ids[i] = session.ID
		}
		parallel(b, func(int) {
			if v, ok := m.Load(ids[rand.IntN(stored)]); !ok || v.(perdure.Session).Username != "john_doe" {
				panic("gone")
			}
		})
	})
	b.Run("Get/memory", func(b *testing.B) {
		store := newStore(b)
		ids := make([]string, stored)
		for i := range ids {
			ids[i] = create(b, store, i).ID
		}
		parallel(b, func(int) {
			if session, err := store.Get(ctx, ids[rand.IntN(stored)]); err != nil || session.Username != "john_doe" {
				panic(err)
			}
		})
	})
	b.Run("Create/syncmap", func(b *testing.B) {
		session := create(b, newStore(b), 0)
		ids := make([]string, b.N+1)
		for i := range ids {
			ids[i] = perdure.NewID(i % perdure.Partitions)
		}
		var m sync.Map
		parallel(b, func(n int) { m.Store(ids[n], session) })
	})
	b.Run("Create/memory", func(b *testing.B) {
		store := newStore(b)
		parallel(b, func(n int) { create(b, store, n) })
	})
}
