package remote_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/backendtest"
	"github.com/perdure/perdure/backend/local"
	"github.com/perdure/perdure/backend/remote"
	"github.com/perdure/perdure/internal/raced"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestConformance: a store is the same seen through its daemon.
func TestConformance(t *testing.T) {
	backendtest.Run(t, backendtest.Config{
		Open: func(t testing.TB, o backendtest.Options) perdure.Backend {
			b, err := local.Open(local.Options{Dir: o.Dir, Now: o.Now, FeedLength: o.FeedLength, MaxBytes: o.MaxBytes})
			if err != nil {
				t.Fatal(err)
			}
			return through(t, b)
		},
		Clock:      true,
		Durable:    true,
		FeedLength: 64,
		MaxBytes:   256 << 10,
		Checks:     30,
	})
}

// relayed is a backend seen through a daemon, which ends with it.
type relayed struct {
	*remote.Backend
	daemon *httptest.Server
	store  perdure.Backend
}

func through(t testing.TB, store perdure.Backend) perdure.Backend {
	daemon := serve(store)
	b, err := remote.Open(t.Context(), remote.Options{URL: daemon.URL})
	if err != nil {
		t.Fatal(err)
	}
	return relayed{b, daemon, store}
}

func serve(store perdure.Backend) *httptest.Server {
	mux := http.NewServeMux()
	mux.Handle(remote.NewHandler(store))
	return httptest.NewServer(mux)
}

func (r relayed) Close() error {
	err := r.Backend.Close()
	r.daemon.Close()
	return errors.Join(err, r.store.Close())
}

func inMemory(t *testing.T) *local.Backend {
	b, err := local.Open(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// behind is a store seen through a daemon of its own.
func behind(t *testing.T, store perdure.Backend, timeout time.Duration) *remote.Backend {
	t.Helper()
	daemon := serve(store)
	t.Cleanup(daemon.Close)
	b, err := remote.Open(t.Context(), remote.Options{URL: daemon.URL, Timeout: timeout})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// logins are puts of new sessions of one user, whose bodies begin with their ids.
func logins(user perdure.UserKey, count int, body string) (batches []perdure.Batch, ids []string) {
	clock := perdure.NewClock(nil)
	for range count {
		v, id := clock.Tick(), perdure.NewID(user.Partition())
		ids = append(ids, id)
		batches = append(batches, perdure.Batch{{Op: perdure.OpPut, Record: perdure.Record{ID: id, Body: id + body, Header: perdure.Header{
			Kind: perdure.KindSession, Version: v, Born: v, User: user, Expiry: v.Millis() + 1e6, Horizon: v.Millis() + 1e7, LastAccess: v.Millis(),
		}}}})
	}
	return batches, ids
}

// TestNoDaemon: whatever is at the address instead, the error says what to do.
func TestNoDaemon(t *testing.T) {
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	babbling := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/proto")
		w.Write([]byte(strings.Repeat("\xff", 100)))
	}))
	defer babbling.Close()
	nobody, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody.Close()
	for url, want := range map[string]string{
		other.URL:                          "is not the admin port of a daemon",
		babbling.URL:                       "the daemon at " + babbling.URL,
		"http://" + nobody.Addr().String(): "connection refused",
	} {
		if _, err := remote.Open(t.Context(), remote.Options{URL: url}); !errors.Is(err, perdure.ErrUnavailable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; it does not say %q", url, err, want)
		}
	}
	for _, url := range []string{"", "127.0.0.1:8421", "redis://127.0.0.1", "http://", "http://a:b@host", "http://host/path", "http://host?x=y"} {
		if _, err := remote.Open(t.Context(), remote.Options{URL: url}); !errors.Is(err, perdure.ErrInvalid) {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// TestADaemonThatHangs holds nobody up for longer than was asked for.
func TestADaemonThatHangs(t *testing.T) {
	handler := func() http.Handler {
		mux := http.NewServeMux()
		mux.Handle(remote.NewHandler(inMemory(t)))
		return mux
	}()
	hang := make(chan struct{})
	daemon := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/Stats") {
			handler.ServeHTTP(w, r)
			return
		}
		<-hang
	}))
	defer daemon.Close()
	defer close(hang)
	b, err := remote.Open(t.Context(), remote.Options{URL: daemon.URL, Timeout: 3 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if _, err := b.Get(t.Context(), perdure.NewID(0)); !errors.Is(err, perdure.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("by itself: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	if _, err := b.Get(ctx, perdure.NewID(0)); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	ended := make(chan error)
	go func() {
		_, err := b.Changes(t.Context(), perdure.FromNow, 1, time.Hour)
		ended <- err
	}()
	b.Close()
	if err := <-ended; !errors.Is(err, perdure.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}

// TestManyAtOnce are split, and come back in their order.
func TestManyAtOnce(t *testing.T) {
	b := behind(t, inMemory(t), time.Minute)
	const count = 1234
	batches, ids := logins(perdure.HashUser("ada"), count, "")
	batches[700] = perdure.Batch{}
	results, err := b.Apply(t.Context(), batches)
	if err != nil {
		t.Fatal(err)
	}
	records, err := b.Load(t.Context(), ids)
	if err != nil || len(records) != count {
		t.Fatalf("%d records, %v", len(records), err)
	}
	for i := range results {
		if i == 700 {
			if !errors.Is(results[i].Err, perdure.ErrInvalid) || records[i].Exists() {
				t.Errorf("an empty batch: %+v, and %+v is there", results[i], records[i])
			}
			continue
		}
		if results[i].Outcome != perdure.Applied || records[i] != batches[i][0].Record {
			t.Errorf("%d: %+v, and %+v is there", i, results[i], records[i])
		}
	}
	if len(results) != count {
		t.Errorf("%d results", len(results))
	}
}

// TestLargeRecords: what does not fit into one message travels in several.
func TestLargeRecords(t *testing.T) {
	raced.Skip(t)
	store, err := local.Open(local.Options{MaxBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	b := behind(t, store, time.Minute)
	const count = 30
	user := perdure.HashUser("ada")
	batches, ids := logins(user, count, strings.Repeat("x", 4<<20))
	if results, err := b.Apply(t.Context(), batches); err != nil || results[count-1].Outcome != perdure.Applied {
		t.Fatal(err)
	}
	if records, err := b.Load(t.Context(), ids); err != nil || len(records) != count || records[count-1].ID != ids[count-1] {
		t.Errorf("%d records, %v", len(records), err)
	}
	pages := func(name string, next func(after string) (perdure.Page, error)) {
		found := map[string]bool{}
		for after, n := "", 0; n == 0 || after != ""; n++ {
			page, err := next(after)
			if err != nil || n > count {
				t.Fatalf("%s: page %d, %v", name, n, err)
			}
			for _, r := range page.Records {
				found[r.ID] = true
			}
			after = page.Next
		}
		if len(found) != count {
			t.Errorf("%s: %d of %d", name, len(found), count)
		}
	}
	pages("scan", func(after string) (perdure.Page, error) {
		return b.Scan(t.Context(), perdure.ScanQuery{After: after, Limit: 1000})
	})
	pages("list", func(after string) (perdure.Page, error) { return b.ListUser(t.Context(), user, after, 1000) })
	sessions, err := perdure.New(b, perdure.Options{SweepInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	if ended, err := sessions.RevokeUser(t.Context(), "ada"); err != nil || ended != count {
		t.Errorf("%d ended, %v", ended, err)
	}
}

// TestErrorsKeepTheirKind on their way, and what is out of bounds stays so.
func TestErrorsKeepTheirKind(t *testing.T) {
	for name, err := range map[string]error{
		"full": perdure.ErrFull, "skew": perdure.ErrSkew, "gap": perdure.ErrFeedGap, "format": perdure.ErrFormat, "unavailable": perdure.ErrUnavailable,
		"late":      context.DeadlineExceeded,
		"expired":   perdure.ErrListExpired,
		"invalid":   &perdure.InvalidError{Field: "f\xff", Problem: "p\xff"},
		"no reason": &perdure.UnreadableError{IDs: []string{"a\xff"}},
		"reason":    &perdure.UnreadableError{IDs: []string{"a"}, Err: errors.New("cut short")},
	} {
		got := behind(t, failing{inMemory(t), err}, 0).Ping(t.Context())
		want := err
		if _, bad := perdure.AsUnreadable(err); bad == nil {
			want = perdure.ErrFormat
		}
		if wrong, ok := errors.AsType[*perdure.InvalidError](err); ok {
			want = perdure.ErrInvalid
			if now, ok := errors.AsType[*perdure.InvalidError](got); !ok || now.Field != "f\ufffd" || wrong == now {
				t.Errorf("%s: %#v", name, got)
			}
		}
		if !errors.Is(got, want) || strings.Contains(got.Error(), "unreadable (a): 1 unreadable") {
			t.Errorf("%s: %v became %v", name, err, got)
		}
	}
	b := behind(t, inMemory(t), 0)
	if _, err := b.Scan(t.Context(), perdure.ScanQuery{From: 1 << 32, To: 1 << 32}); !errors.Is(err, perdure.ErrInvalid) {
		t.Errorf("partitions that there are not: %v", err)
	}
}

// TestManyOfWhichSomeAreNotAnswered: they travel by name, and are neither absent nor
// unreadable.
func TestManyOfWhichSomeAreNotAnswered(t *testing.T) {
	why := fmt.Errorf("%w: an outage", perdure.ErrUnavailable)
	open := perdure.UnansweredError{}
	open.Add("a\xff", why)
	b := behind(t, failing{inMemory(t), open.With(&perdure.UnreadableError{IDs: []string{"b"}}, 3)}, 0)
	records, err := b.Load(t.Context(), []string{"a\xff", "b", "c"})
	got, bad, rest := perdure.AsUnanswered(err)
	if len(records) != 3 || rest != nil || got == nil || got.IDs[0] != "a\xff" || bad == nil || bad.IDs[0] != "b" {
		t.Fatalf("%d records, %#v", len(records), err)
	}
	if wrong, _ := perdure.AsUnreadable(err); wrong != nil || !strings.Contains(err.Error(), "an outage") {
		t.Errorf("%v is taken for no more than unreadable", err)
	}
	if _, err := b.Load(t.Context(), []string{"a\xff"}); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("of that alone: %v", err)
	}
}

// failing is a store whose Ping and Load fail.
type failing struct {
	perdure.Backend
	err error
}

func (f failing) Ping(context.Context) error { return f.err }

func (f failing) Load(_ context.Context, ids []string) ([]perdure.Record, error) {
	return make([]perdure.Record, len(ids)), f.err
}

// TestWhatIsHeld: of a store that cannot list all, the daemon gives what there is, and
// says so; it passes on that a version was demanded.
func TestWhatIsHeld(t *testing.T) {
	held := &partial{Backend: inMemory(t)}
	b := through(t, held)
	t.Cleanup(func() { b.Close() })
	page, err := perdure.ListPartial(t.Context(), b, "", "", 10)
	if err != nil || !page.Incomplete || page.Next != "more" {
		t.Errorf("%+v, %v", page, err)
	}
	if _, err := b.Apply(t.Context(), []perdure.Batch{{{Op: perdure.OpPut, Record: perdure.Record{ID: perdure.NewID(0), Header: perdure.Header{Kind: perdure.KindSession}}, Exact: true}}}); err != nil {
		t.Fatal(err)
	}
	if !held.exact {
		t.Error("that a version was demanded has not reached the store")
	}
}

// partial is a store that lists a part.
type partial struct {
	perdure.Backend
	exact bool
}

func (p *partial) ListPartial(context.Context, perdure.UserKey, string, int) (perdure.Page, error) {
	return perdure.Page{Incomplete: true, Next: "more"}, nil
}

func (p *partial) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	p.exact = batches[0][0].Exact
	return p.Backend.Apply(ctx, batches)
}
