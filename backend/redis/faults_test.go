package redis

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/faultproxy"
	"github.com/perdure/perdure/internal/redistest"
)

// behind opens a backend whose connections pass through a proxy.
func behind(t *testing.T, server *redistest.Server) (*Backend, *faultproxy.Proxy) {
	t.Helper()
	proxy := faultproxy.Start(t, server.Addr())
	return open(t, Options{URL: "redis://" + proxy.Addr()}), proxy
}

// unhurried is more than a busy machine takes: no test waits for it but one that fails.
const unhurried = 20 * time.Second

// awaited is the timeout where a test waits for it: a busy machine keeps to it while
// all is well.
const awaited = 3 * time.Second

// open opens a backend that is patient, unless a test is about a timeout.
func open(t *testing.T, o Options) *Backend {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = unhurried
	}
	b, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func session(user string) perdure.Record {
	clock := perdure.NewClock(nil)
	key, born := perdure.HashUser(user), clock.Tick()
	return perdure.Record{ID: perdure.NewID(key.Partition()), Body: "body", Header: perdure.Header{
		Kind: perdure.KindSession, Version: born, Born: born, LastAccess: born.Millis(), User: key,
		Expiry: born.Millis() + 3_600_000, Horizon: born.Millis() + 7_200_000,
	}}
}

func put(ctx context.Context, b *Backend, r perdure.Record) error {
	results, err := b.Apply(ctx, []perdure.Batch{{{Op: perdure.OpPut, Record: r}}})
	if err != nil {
		return err
	}
	return results[0].Err
}

// wantBack fails unless the backend serves again by itself.
func wantBack(t *testing.T, b *Backend) {
	t.Helper()
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		if err = put(t.Context(), b, session("back")); err == nil {
			return
		}
	}
	t.Errorf("it does not come back: %v", err)
}

// Whatever comes over the wire, the caller is told that the store cannot answer,
// and the next connection serves again.
func TestBrokenReplies(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	for name, fault := range map[string]func(p *faultproxy.Proxy){
		"garbage":           func(p *faultproxy.Proxy) { p.Inject([]byte("\x00\xffhello, this is not redis\r\n")) },
		"another protocol":  func(p *faultproxy.Proxy) { p.Inject([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")) },
		"impossible length": func(p *faultproxy.Proxy) { p.Inject([]byte("$99999999999999\r\n")) },
		"cut in mid-reply":  func(p *faultproxy.Proxy) { p.CutAfter(2) },
		"answer lost":       func(p *faultproxy.Proxy) { p.CutAfter(0) },
		"loading":           func(p *faultproxy.Proxy) { p.Inject([]byte("-LOADING Redis is loading the dataset in memory\r\n")) },
	} {
		t.Run(name, func(t *testing.T) {
			b, proxy := behind(t, server)
			fault(proxy)
			failed := false
			for range 50 { // a ping of the client's own may have met the fault
				err := put(t.Context(), b, session("u"))
				if failed = failed || err != nil; err != nil && !errors.Is(err, perdure.ErrUnavailable) {
					t.Errorf("got %v", err)
				}
			}
			if !failed && proxy.Stats().Fired == 0 {
				t.Error("the fault met nobody")
			}
			if err := proxy.Heal(); err != nil {
				t.Fatal(err)
			}
			wantBack(t, b)
		})
	}
}

func TestAServerThatHangsHoldsNobody(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL(), Timeout: awaited})
	r := session("u")
	if err := put(t.Context(), b, r); err != nil {
		t.Fatal(err)
	}
	if err := server.Stop(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var all sync.WaitGroup
	for name, call := range map[string]func(ctx context.Context) error{
		"Get":        func(ctx context.Context) error { _, err := b.Get(ctx, perdure.NewID(0)); return err },
		"Load":       func(ctx context.Context) error { _, err := b.Load(ctx, []string{perdure.NewID(0)}); return err },
		"Apply":      func(ctx context.Context) error { return put(ctx, b, session("v")) },
		"ListUser":   func(ctx context.Context) error { _, err := b.ListUser(ctx, r.User, "", 10); return err },
		"Scan":       func(ctx context.Context) error { _, err := b.Scan(ctx, perdure.ScanQuery{Limit: 10}); return err },
		"Sweep":      func(ctx context.Context) error { _, _, err := b.Sweep(ctx, now(), 10); return err },
		"Stats":      func(ctx context.Context) error { _, err := b.Stats(ctx); return err },
		"Ping":       func(ctx context.Context) error { return b.Ping(ctx) },
		"RemoveUser": func(ctx context.Context) error { _, err := b.RemoveUser(ctx, removal(r.User)); return err },
	} {
		if err := call(ctx); !errors.Is(err, perdure.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s with a deadline: %v", name, err)
		}
		all.Go(func() {
			if err := call(t.Context()); !errors.Is(err, perdure.ErrUnavailable) {
				t.Errorf("%s without a deadline: %v", name, err)
			}
		})
	}
	all.Wait()
	if err := server.Continue(); err != nil {
		t.Fatal(err)
	}
	wantBack(t, b)
}

func removal(user perdure.UserKey) perdure.UserRemoval {
	at := perdure.NewClock(nil).Tick()
	return perdure.UserRemoval{Limit: 10, Reason: perdure.ReasonUserRevoked, Epoch: perdure.Record{
		ID: perdure.EpochID(user), Body: strings.Repeat("\x00", 12),
		Header: perdure.Header{Kind: perdure.KindEpoch, Version: at, Born: at, User: user, Expiry: at.Millis() + 1000, Horizon: at.Millis() + 1000},
	}}
}

func TestScriptsThatTheServerForgot(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	for range 3 {
		if _, err := server.Do("SCRIPT", "FLUSH"); err != nil {
			t.Fatal(err)
		}
		batches := make([]perdure.Batch, 100) // in the middle of a pipeline
		for i := range batches {
			batches[i] = perdure.Batch{{Op: perdure.OpPut, Record: session("u")}}
		}
		results, err := b.Apply(t.Context(), batches)
		if err != nil {
			t.Fatal(err)
		}
		for i := range results {
			if results[i].Outcome != perdure.Applied {
				t.Fatalf("batch %d: %+v", i, results[i])
			}
		}
	}
}

func TestAReplicaTakesNoWrites(t *testing.T) {
	server, master := redistest.Start(t, redistest.Options{}), redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	host, port, _ := strings.Cut(master.Addr(), ":")
	if _, err := server.Do("REPLICAOF", host, port); err != nil {
		t.Fatal(err)
	}
	err := put(t.Context(), b, session("u"))
	if !errors.Is(err, perdure.ErrUnavailable) || !strings.Contains(err.Error(), "replica") {
		t.Errorf("a put: %v", err)
	}
	if err := b.Ping(t.Context()); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("a ping: %v", err)
	}
	if _, err := server.Do("REPLICAOF", "NO", "ONE"); err != nil {
		t.Fatal(err)
	}
	wantBack(t, b)
}

// A full server takes no new session, evicts none, and still lets people log out.
func TestAFullServer(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	kept, ended := session("u"), session("u")
	for _, r := range []perdure.Record{kept, ended} {
		if err := put(t.Context(), b, r); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := server.Do("CONFIG", "SET", "maxmemory", "1"); err != nil {
		t.Fatal(err)
	}
	if err := put(t.Context(), b, session("u")); !errors.Is(err, perdure.ErrFull) || !strings.Contains(err.Error(), "maxmemory") {
		t.Errorf("a create: %v", err)
	}
	results, err := b.Apply(t.Context(), []perdure.Batch{
		{{Op: perdure.OpTouch, Record: perdure.Record{ID: kept.ID, Header: perdure.Header{LastAccess: now() + 1}}}},
		{{Op: perdure.OpRemove, Record: perdure.Record{ID: ended.ID, Header: perdure.Header{Version: ended.Version, Reason: perdure.ReasonLogout}}}},
	})
	if err != nil || results[0].Outcome != perdure.Applied || results[1].Outcome != perdure.Applied {
		t.Errorf("a touch and a logout: %+v, %v", results, err)
	}
	if err := b.Ping(t.Context()); !errors.Is(err, perdure.ErrFull) {
		t.Errorf("a ping: %v", err)
	}
}

func TestLoginIsRefused(t *testing.T) {
	server := redistest.Start(t, redistest.Options{Password: "opensesame"})
	for name, url := range map[string]string{
		"no password":    "redis://" + server.Addr(),
		"wrong password": "redis://:guessed-wrong@" + server.Addr(),
	} {
		_, err := Open(t.Context(), Options{URL: url})
		if !errors.Is(err, perdure.ErrInvalid) || strings.Contains(err.Error(), "guessed-wrong") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// One side speaks TLS, the other does not: who gets the scheme wrong is told.
func TestTheOtherScheme(t *testing.T) {
	t.Parallel()
	plain, secure := redistest.Start(t, redistest.Options{}), redistest.Start(t, redistest.Options{TLS: true})
	for url, want := range map[string]string{
		"rediss://" + plain.Addr(): "its address is redis://",
		"redis://" + secure.Addr(): "its address is rediss://",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second) // one of the two says nothing until then
		b, err := Open(ctx, Options{URL: url, Timeout: unhurried})
		cancel()
		if err == nil {
			b.Close()
		}
		if !errors.Is(err, perdure.ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; it does not say %q", url, err, want)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), Options{URL: server.URL()}); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestSlotsMove(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, redistest.ClusterOptions{})
	b := open(t, Options{URL: cluster.URL()})
	r := session("u")
	if err := put(t.Context(), b, r); err != nil {
		t.Fatal(err)
	}
	slot := 64 * perdure.PartitionOf(r.ID)
	for s := slot; s < slot+64; s++ { // the tag's slot is among them
		owner, err := cluster.Owner(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, node := range cluster.Nodes() {
			if node != owner {
				if err := cluster.MoveSlot(t.Context(), s, node); err != nil {
					t.Fatal(err)
				}
				break
			}
		}
	}
	b.near.clear()
	if got, err := b.Get(t.Context(), r.ID); err != nil || got.Version != r.Version {
		t.Errorf("after the move: %+v, %v", got, err)
	}
	if err := put(t.Context(), b, session("u")); err != nil {
		t.Errorf("a put after the move: %v", err)
	}
}

// A record of a later version of this program is not touched by this one.
func TestARecordOfANewerFormatIsLeftAlone(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	r := session("u")
	if err := put(t.Context(), b, r); err != nil {
		t.Fatal(err)
	}
	keys, err := server.Do("KEYS", "*:s:"+r.ID)
	if err != nil {
		t.Fatal(err)
	}
	key := keys.([]any)[0].(string)
	newer := "\x02" + string(r.Append(nil)[1:]) + "and more"
	if _, err := server.Do("SET", key, newer, "KEEPTTL"); err != nil {
		t.Fatal(err)
	}
	b.near.clear()
	if _, err := b.Get(t.Context(), r.ID); !errors.Is(err, perdure.ErrFormat) || !strings.Contains(err.Error(), "later release") {
		t.Errorf("Get: %v", err)
	}
	for name, w := range map[string]perdure.Write{
		"put":    {Op: perdure.OpPut, Record: r, Base: r.Version},
		"touch":  {Op: perdure.OpTouch, Record: perdure.Record{ID: r.ID, Header: perdure.Header{LastAccess: now() + 1}}},
		"remove": {Op: perdure.OpRemove, Record: perdure.Record{ID: r.ID, Header: perdure.Header{Version: r.Version, Reason: perdure.ReasonLogout}}},
	} {
		results, err := b.Apply(t.Context(), []perdure.Batch{{w}})
		if err == nil {
			err = results[0].Err
		}
		if !errors.Is(err, perdure.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if stored, err := server.Do("GET", key); err != nil || stored != newer {
		t.Errorf("the record was changed: %q, %v", stored, err)
	}
}

func TestEvictionIsFound(t *testing.T) {
	server := redistest.Start(t, redistest.Options{Config: []string{"maxmemory 100mb", "maxmemory-policy allkeys-lru"}})
	if _, err := Open(t.Context(), Options{URL: server.URL(), RefuseEviction: true}); err == nil || !strings.Contains(err.Error(), "allkeys-lru") {
		t.Errorf("refused: %v", err)
	}
	findings, err := open(t, Options{URL: server.URL()}).Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if worst := findings[0]; worst.Severity != perdure.SeverityError || worst.Name != "maxmemory-policy" || !strings.Contains(worst.Advice, "noeviction") {
		t.Errorf("the worst finding is %+v", worst)
	}
}

func TestMissingCommandsAreFound(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	if _, err := server.Do("ACL", "SETUSER", "limited", "on", ">pw", "~*", "+@all", "-zadd", "-xadd"); err != nil {
		t.Fatal(err)
	}
	b := open(t, Options{URL: "redis://limited:pw@" + server.Addr()})
	findings, err := b.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if worst := findings[0]; worst.Name != "acl" || !strings.Contains(worst.Found, "zadd") || !strings.Contains(worst.Found, "xadd") {
		t.Errorf("the worst finding is %+v", worst)
	}
	if err := put(t.Context(), b, session("u")); !errors.Is(err, perdure.ErrUnavailable) || !strings.Contains(err.Error(), "ACL") {
		t.Errorf("a put: %v", err)
	}
}

// now is the time of this machine.
func now() perdure.Millis { return perdure.MillisOf(time.Now()) }
