package redis

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
)

// TestOneMoreConnectionIsNoOther: a connection beside others says nothing about the
// server. One in the place of another may have come to a server that lacks data.
func TestOneMoreConnectionIsNoOther(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	admin := administrator(t, server)
	before := b.Connections()
	ctx, leave := context.WithCancel(t.Context())
	var all sync.WaitGroup
	all.Go(func() { _, _ = b.Changes(ctx, perdure.FromNow, 10, time.Minute) })
	for range 100 {
		all.Go(func() {
			if err := put(t.Context(), b, session("u")); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			if _, err := b.ListUser(t.Context(), perdure.HashUser("u"), "", 10); err != nil {
				t.Error(err)
			}
		})
	}
	for ours := 0; ours < 3; { // one of all, one of writes, and that of Changes
		ours = strings.Count(order(t, admin, "CLIENT", "LIST").(string), "name=perdure")
	}
	if after := b.Connections(); before == 0 || after != before {
		t.Errorf("%d connections have become %d", before, after)
	}
	leave()
	all.Wait()
	order(t, admin, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	wantBack(t, b)
	if after := b.Connections(); after == before {
		t.Errorf("%d connections were made anew, and %d are counted", after, before)
	}
}
