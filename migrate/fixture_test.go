package migrate_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
	"github.com/perdure/perdure/backend/redis"
	"github.com/perdure/perdure/internal/redistest"
	"github.com/perdure/perdure/migrate"
)

// patient is more than a busy machine takes.
const patient = 20 * time.Second

func memory(t testing.TB) perdure.Backend {
	t.Helper()
	return opened(t)(local.Open(local.Options{Timeout: patient}))
}

func file(t testing.TB) perdure.Backend {
	t.Helper()
	return opened(t)(openFile(t.TempDir()))
}

var spaces atomic.Int64

// onRedis is an empty store on a server that others use too.
func onRedis(t testing.TB, url string) perdure.Backend {
	t.Helper()
	prefix := fmt.Sprintf("space%d:", spaces.Add(1))
	b, err := redis.Open(t.Context(), redis.Options{URL: url, Prefix: prefix, Timeout: patient})
	return opened(t)(b, err)
}

func opened(t testing.TB) func(perdure.Backend, error) perdure.Backend {
	return func(b perdure.Backend, err error) perdure.Backend {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { b.Close() })
		return b
	}
}

// storeOn is all session logic over a backend that others hold too.
func storeOn(t testing.TB, b perdure.Backend, o perdure.Options) *perdure.Store {
	t.Helper()
	o.SweepInterval = -1
	return must[*perdure.Store](t)(perdure.New(b, o))
}

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// seeded are the ids of sessions by what became of them.
type seeded struct {
	live, ended, expired []string
}

// seed fills a backend with sessions of every kind: updated, touched, extended,
// idle, rotated, with foreign ids, logged out, revoked with their user, expired.
func seed(t testing.TB, b perdure.Backend, n int) seeded {
	t.Helper()
	ctx := t.Context()
	plain, idle := storeOn(t, b, perdure.Options{}), storeOn(t, b, perdure.Options{IdleTimeout: 3 * time.Hour})
	var s seeded
	for i := range n {
		user := fmt.Sprintf("user:*%d", i/3)
		data := perdure.Data{UserID: user, Username: "name", Roles: []string{"a", "b"}, Metadata: map[string]any{"i": i, "text": strings.Repeat("x", 100)}}
		store := plain
		switch i % 10 {
		case 1:
			data.ID = fmt.Sprintf("6f2d9a3e-9f0f-4a52-8a41-%012d", i)
		case 2:
			store = idle
		case 8:
			data.UserID = fmt.Sprint("revoked", i)
		case 9:
			data.TTL = time.Millisecond
		}
		id := must[perdure.Session](t)(store.Create(ctx, data)).ID
		switch i % 10 {
		case 3:
			name := "changed"
			must[perdure.Session](t)(store.Update(ctx, id, perdure.Patch{Username: &name, Metadata: map[string]any{"text": nil, "new": true}}))
		case 4:
			must[perdure.Session](t)(store.Update(ctx, id, perdure.Patch{ExpiresAt: time.Now().Add(72 * time.Hour)}))
		case 5:
			must[bool](t)(store.Touch(ctx, id))
		case 6:
			s.ended = append(s.ended, id)
			id = must[perdure.Session](t)(store.Rotate(ctx, id, 0)).ID
		case 7:
			must[bool](t)(store.Delete(ctx, id))
			s.ended = append(s.ended, id)
			continue
		case 8:
			must[int](t)(store.RevokeUser(ctx, data.UserID))
			s.ended = append(s.ended, id)
			continue
		case 9:
			s.expired = append(s.expired, id)
			continue
		}
		s.live = append(s.live, id)
	}
	for _, id := range s.expired {
		for must[bool](t)(plain.Exists(ctx, id)) {
			runtime.Gosched()
		}
	}
	return s
}

// records are all that a backend holds, in the order of ids, without what has
// expired.
func records(t testing.TB, b perdure.Backend) []perdure.Record {
	t.Helper()
	var all []perdure.Record
	now := perdure.MillisOf(time.Now())
	for q := (perdure.ScanQuery{Dead: true}); ; {
		page := must[perdure.Page](t)(b.Scan(t.Context(), q))
		for _, r := range page.Records {
			if r.Kind != perdure.KindSession || r.Live(now) {
				all = append(all, r)
			}
		}
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	slices.SortFunc(all, func(a, b perdure.Record) int { return strings.Compare(a.ID, b.ID) })
	return slices.CompactFunc(all, func(a, b perdure.Record) bool { return a.ID == b.ID })
}

// wantSame fails unless two backends hold the same, to the last bit.
func wantSame(t testing.TB, from, to perdure.Backend) {
	t.Helper()
	a, b := records(t, from), records(t, to)
	if len(a) != len(b) {
		t.Errorf("%d records in the source, %d in the target", len(a), len(b))
		return
	}
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("in the source %+v\nin the target %+v", a[i], b[i])
		}
	}
}

// run moves all, and expects no error.
func run(t testing.TB, from, to perdure.Backend, o migrate.Options) migrate.Result {
	t.Helper()
	result, err := migrate.Run(t.Context(), migrate.FromBackend(from), to, o)
	if err != nil {
		t.Fatalf("%v, %+v", err, result)
	}
	return result
}

func verify(t testing.TB, from, to perdure.Backend, o migrate.VerifyOptions) (migrate.Report, error) {
	t.Helper()
	return migrate.Verify(t.Context(), migrate.FromBackend(from), to, o)
}

// servers are real ones, of every kind.
func servers(t testing.TB) map[string]func(testing.TB) perdure.Backend {
	t.Helper()
	single := redistest.Start(t, redistest.Options{})
	sentinel := redistest.StartSentinel(t, redistest.SentinelOptions{})
	cluster := redistest.StartCluster(t, redistest.ClusterOptions{})
	on := func(url string) func(testing.TB) perdure.Backend {
		return func(t testing.TB) perdure.Backend { return onRedis(t, url) }
	}
	return map[string]func(testing.TB) perdure.Backend{
		"memory": memory, "file": file, "redis": on(single.URL()), "sentinel": on(sentinel.URL()), "cluster": on(cluster.URL()),
	}
}

// faulty is a backend that tests interfere with.
type faulty struct {
	perdure.Backend
	apply func(ctx context.Context, batches []perdure.Batch, next func(context.Context, []perdure.Batch) ([]perdure.Result, error)) ([]perdure.Result, error)
	scan  func(q perdure.ScanQuery) error
}

func (f *faulty) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	if f.apply == nil {
		return f.Backend.Apply(ctx, batches)
	}
	return f.apply(ctx, batches, f.Backend.Apply)
}

func (f *faulty) Scan(ctx context.Context, q perdure.ScanQuery) (perdure.Page, error) {
	if f.scan != nil {
		if err := f.scan(q); err != nil {
			return perdure.Page{}, err
		}
	}
	return f.Backend.Scan(ctx, q)
}

func openFile(dir string) (perdure.Backend, error) {
	return local.Open(local.Options{Dir: dir, Timeout: patient})
}
