package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/faultproxy"
	"github.com/perdure/perdure/internal/redistest"
)

func remove(ctx context.Context, b *Backend, r perdure.Record) error {
	tomb := perdure.Record{ID: r.ID, Header: perdure.Header{Version: r.Version, Reason: perdure.ReasonLogout}}
	results, err := b.Apply(ctx, []perdure.Batch{{{Op: perdure.OpRemove, Record: tomb}}})
	return errors.Join(err, results[0].Err)
}

// warm reads until the near cache has the record.
func warm(t *testing.T, b *Backend, id string) {
	t.Helper()
	for range 1000 {
		if _, err := b.Get(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if b.near.has(id) {
			return
		}
	}
	t.Fatalf("the near cache does not take in %s", id)
}

// Once a delete is acknowledged the session is not readable again in this
// process, however many reads are under way.
func TestAReadNeverComesAfterADelete(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	for round := range 200 {
		r := session(fmt.Sprint("u", round))
		if err := put(t.Context(), b, r); err != nil {
			t.Fatal(err)
		}
		var deleted atomic.Bool
		var readers sync.WaitGroup
		for range 8 {
			readers.Go(func() {
				for range 20 {
					dead := deleted.Load()
					if got, err := b.Get(t.Context(), r.ID); err != nil || dead && got.Kind != perdure.KindTombstone {
						t.Errorf("after the delete: %+v, %v", got, err)
					}
				}
			})
		}
		if err := remove(t.Context(), b, r); err != nil {
			t.Fatal(err)
		}
		deleted.Store(true)
		readers.Wait()
	}
}

// What one process deletes another's warm cache forgets within milliseconds.
func TestADeleteReachesOtherProcesses(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	one, other := open(t, Options{URL: server.URL()}), open(t, Options{URL: server.URL()})
	var took []time.Duration
	for i := range 300 {
		r := session(fmt.Sprint("u", i))
		if err := put(t.Context(), one, r); err != nil {
			t.Fatal(err)
		}
		warm(t, other, r.ID)
		start := time.Now()
		if err := remove(t.Context(), one, r); err != nil {
			t.Fatal(err)
		}
		for {
			got, err := other.Get(t.Context(), r.ID)
			if err != nil {
				t.Fatal(err)
			}
			if got.Kind == perdure.KindTombstone {
				break
			}
			if time.Since(start) > time.Minute {
				t.Fatal("it is still there")
			}
		}
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	t.Logf("from the delete until it is not found elsewhere: median %v, p99 %v", took[len(took)/2], took[len(took)*99/100])
}

// A connection that ends can bring no word of changes any more.
func TestALostConnectionEmptiesTheNearCache(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	proxy := faultproxy.Start(t, server.Addr())
	b, direct := open(t, Options{URL: "redis://" + proxy.Addr()}), open(t, Options{URL: server.URL()})
	r := session("u")
	if err := put(t.Context(), b, r); err != nil {
		t.Fatal(err)
	}
	warm(t, b, r.ID)
	proxy.Refuse()
	for deadline := time.Now().Add(time.Minute); b.near.has(r.ID); {
		if time.Now().After(deadline) {
			t.Fatal("the near cache outlives the connection")
		}
	}
	if _, err := b.Get(t.Context(), r.ID); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("without a connection: %v", err)
	}
	if err := remove(t.Context(), direct, r); err != nil {
		t.Fatal(err)
	}
	if err := proxy.Heal(); err != nil {
		t.Fatal(err)
	}
	wantBack(t, b)
	if got, err := b.Get(t.Context(), r.ID); err != nil || got.Kind != perdure.KindTombstone {
		t.Errorf("on the next connection: %+v, %v", got, err)
	}
}

// A server that says nothing any more, over a connection that stays open, is
// noticed by the client's own pings.
func TestASilentConnectionEmptiesTheNearCache(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	proxy := faultproxy.Start(t, server.Addr())
	b := open(t, Options{URL: "redis://" + proxy.Addr(), Timeout: awaited})
	r := session("u")
	if err := put(t.Context(), b, r); err != nil {
		t.Fatal(err)
	}
	warm(t, b, r.ID)
	proxy.Blackhole(faultproxy.Both)
	start := time.Now()
	for b.near.has(r.ID) {
		if time.Since(start) > time.Minute {
			t.Fatal("the near cache outlives the silence")
		}
		time.Sleep(time.Millisecond)
	}
}

// A server that does not write a record any more, for its slot has gone to another or
// another was promoted, need not tell of a change to it. The feed does.
func TestTheFeedTellsTheNearCache(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t, redistest.Options{})
	one, other := open(t, Options{URL: server.URL()}), open(t, Options{URL: server.URL()})
	ends, stays := session("u"), session("u")
	for _, r := range []perdure.Record{ends, stays} {
		if err := put(t.Context(), one, r); err != nil {
			t.Fatal(err)
		}
		other.near.cache(r) // and nobody was asked to tell of changes
	}
	batch, err := other.Changes(t.Context(), perdure.FromOldest, 10, 0)
	if err != nil || len(batch.Changes) != 2 || !other.near.has(ends.ID) || !other.near.has(stays.ID) {
		t.Fatalf("%d changes that were known, %v", len(batch.Changes), err)
	}
	if err := remove(t.Context(), one, ends); err != nil {
		t.Fatal(err)
	}
	if batch, err = other.Changes(t.Context(), batch.Next, 10, 0); err != nil || len(batch.Changes) != 1 {
		t.Fatalf("%d changes, %v", len(batch.Changes), err)
	}
	if other.near.has(ends.ID) || !other.near.has(stays.ID) {
		t.Error("the near cache has what the feed says has ended, or lacks what stays")
	}
}

func TestFlushedServersEmptyTheNearCache(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	r := session("u")
	if err := put(t.Context(), b, r); err != nil {
		t.Fatal(err)
	}
	warm(t, b, r.ID)
	flush(t, server)
	for deadline := time.Now().Add(time.Minute); ; {
		got, err := b.Get(t.Context(), r.ID)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Exists() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the near cache has what the server lost")
		}
	}
}

// Without the right to CLIENT CACHING nothing is cached: nobody would hear of
// changes.
func TestNoNearCacheWithoutTheRightToIt(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	for user, rules := range map[string][]string{
		"tracks": {"+@all", "-client", "+client|tracking", "+client|setname"},
		"none":   {"+@all", "-client"},
	} {
		if _, err := server.Do(append([]string{"ACL", "SETUSER", user, "on", ">pw", "~*"}, rules...)...); err != nil {
			t.Fatal(err)
		}
		b := open(t, Options{URL: "redis://" + user + ":pw@" + server.Addr()})
		r := session("u")
		if err := put(t.Context(), b, r); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if got, err := b.Get(t.Context(), r.ID); err != nil || got.Version != r.Version {
				t.Fatalf("%s: %+v, %v", user, got, err)
			}
		}
		if b.cached || b.near != nil {
			t.Errorf("%s: there is a near cache", user)
		}
	}
}
