package factory_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/factory"
	"github.com/perdure/perdure/internal/redistest"
)

// crowd uses a store until it is told to stop: each of its callers creates,
// reads, touches, updates and deletes sessions of its own, and none of that fails.
type crowd struct {
	store *factory.Instance
	stop  atomic.Bool
	ops   atomic.Int64
	done  sync.WaitGroup

	mu          sync.Mutex
	live, ended map[string]bool
}

func gather(t *testing.T, i *factory.Instance) *crowd {
	c := &crowd{store: i, live: map[string]bool{}, ended: map[string]bool{}}
	for n := range 4 {
		c.done.Go(func() {
			for !c.stop.Load() {
				c.use(t, fmt.Sprint("user", n))
				c.ops.Add(1)
				time.Sleep(time.Millisecond) // a load, not a wait
			}
		})
	}
	t.Cleanup(func() { c.stop.Store(true); c.done.Wait() })
	return c
}

func (c *crowd) use(t *testing.T, user string) {
	ctx := context.Background()
	check := func(what string, err error) {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	kept, err := c.store.Create(ctx, perdure.Data{UserID: user})
	check("create", err)
	out, err := c.store.Create(ctx, perdure.Data{UserID: user})
	check("create", err)
	_, err = c.store.Update(ctx, kept.ID, perdure.Patch{Metadata: map[string]any{"n": 1}})
	check("update", err)
	touched, err := c.store.Touch(ctx, kept.ID)
	check("touch", err)
	_, err = c.store.Get(ctx, kept.ID)
	check("get", err)
	ok, err := c.store.Delete(ctx, out.ID)
	check("delete", err)
	if !ok || !touched {
		t.Errorf("deleted %v, touched %v", ok, touched)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.live[kept.ID], c.ended[out.ID] = true, true
}

// more returns when n more rounds were done.
func (c *crowd) more(n int64) {
	for until := c.ops.Load() + n; c.ops.Load() < until; {
		runtime.Gosched()
	}
}

func (c *crowd) check(t *testing.T) {
	t.Helper()
	c.stop.Store(true)
	c.done.Wait()
	for id := range c.live {
		s, err := c.store.Get(t.Context(), id)
		if n, _ := s.Metadata.Raw("n"); err != nil || string(n) != "1" {
			t.Errorf("%s: %s, %v", id, n, err)
		}
	}
	for id := range c.ended {
		if _, err := c.store.Get(t.Context(), id); !errors.Is(err, perdure.ErrNotFound) {
			t.Errorf("%s, which was logged out: %v", id, err)
		}
	}
}

// TestSwitch: a store in use goes from memory to Redis, to a file and back to
// another prefix of Redis; nobody notices.
func TestSwitch(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	i := open(t, factory.Config{Type: factory.Memory, DataDir: factory.DataDirNone})
	c := gather(t, i)
	for _, to := range []struct{ address, kind string }{
		{server.URL(), "redis"}, {"file:" + t.TempDir(), "file"}, {server.URL() + "?prefix=other:", "redis"},
	} {
		c.more(20)
		s, err := i.Switch(t.Context(), to.address, factory.SwitchOptions{})
		if err != nil || i.Kind() != to.kind || s.Moved.Migrated == 0 || s.Pause == 0 {
			t.Fatalf("to %s: %+v, %v; it is %s", to.address, s, err, i.Address())
		}
		c.more(20)
	}
	c.check(t)
}

// TestSwitchStays: what cannot be switched to leaves everything as it was.
func TestSwitchStays(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	i := open(t, factory.Config{Type: factory.Memory, DataDir: factory.DataDirNone})
	c := gather(t, i)
	c.more(10)
	for address, want := range map[string]error{server.URL(): perdure.ErrUnavailable, "memory:": perdure.ErrInvalid, "ftp://x": nil} {
		_, err := i.Switch(t.Context(), address, factory.SwitchOptions{})
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("to %s: %v", address, err)
		}
	}
	c.more(10)
	c.check(t)
	if i.Kind() != "memory" {
		t.Errorf("it is %s", i.Address())
	}
}

// TestSwitchEmpty leaves the sessions behind; lists and watches that were begun
// before are told.
func TestSwitchEmpty(t *testing.T) {
	i := open(t, factory.Config{Type: factory.Memory, DataDir: factory.DataDirNone})
	var ids []string
	for range 3 {
		s, err := i.Create(t.Context(), perdure.Data{UserID: "ann"})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, s.ID)
	}
	page, err := i.List(t.Context(), perdure.ListQuery{PageSize: 2})
	if err != nil || page.NextPageToken == "" {
		t.Fatal(page, err)
	}
	feed, err := i.Backend().Changes(t.Context(), perdure.FromOldest, 10, 0)
	if err != nil || len(feed.Changes) != 3 {
		t.Fatal(feed, err)
	}
	if _, err := i.Switch(t.Context(), "file:"+t.TempDir(), factory.SwitchOptions{Empty: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := i.Get(t.Context(), ids[0]); !errors.Is(err, perdure.ErrNotFound) {
		t.Errorf("a session that was left behind: %v", err)
	}
	if _, err := i.List(t.Context(), perdure.ListQuery{PageSize: 2, PageToken: page.NextPageToken}); !errors.Is(err, perdure.ErrListExpired) || errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("the next page: %v", err)
	}
	gap, err := i.Backend().Changes(t.Context(), feed.Next, 10, 0)
	if !errors.Is(err, perdure.ErrFeedGap) {
		t.Fatalf("the feed goes on: %+v, %v", gap, err)
	}
	made, err := i.Create(t.Context(), perdure.Data{UserID: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	next, err := i.Backend().Changes(t.Context(), gap.Next, 10, 0)
	if err != nil || len(next.Changes) != 1 || next.Changes[0].ID != made.ID {
		t.Errorf("behind the gap: %+v, %v", next, err)
	}
	if _, err := i.Backend().Changes(t.Context(), "nonsense", 10, 0); !errors.Is(err, perdure.ErrInvalid) {
		t.Errorf("a cursor of nobody: %v", err)
	}
}
