package failover_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

// endsWithin is the promise for an outage at default settings.
const endsWithin = 5 * time.Second

// atDefaults is a node on a shared store whose failover has no setting of its own.
func atDefaults(t *testing.T, shared perdure.Backend) *node {
	t.Helper()
	return withOptions(t, shared, failover.Options{})
}

func withOptions(t *testing.T, shared perdure.Backend, options failover.Options) *node {
	t.Helper()
	n := &node{cut: &atomic.Bool{}}
	options.Open = func(context.Context) (perdure.Backend, error) {
		c := cable{shared, n.cut}
		return c, c.err()
	}
	n.open(t, options)
	n.await(t, failover.Healthy)
	return n
}

// TestAnOutageEndsWhenItEnds, at the default settings and in virtual time: whoever
// notices it, nobody waits for a timer that was set while all was well.
func TestAnOutageEndsWhenItEnds(t *testing.T) {
	for name, notice := range map[string]func(t *testing.T, n *node){
		"a caller notices":      func(t *testing.T, n *node) { n.create(t, "u") },
		"readiness notices":     func(t *testing.T, n *node) { _ = n.failover.Ping(t.Context()) },
		"the follower notices":  func(*testing.T, *node) {},
		"many callers notice":   func(t *testing.T, n *node) { n.create(t, "u"); n.create(t, "v"); n.create(t, "w") },
		"it lasts half an hour": func(t *testing.T, n *node) { n.create(t, "u"); time.Sleep(30 * time.Minute) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := atDefaults(t, newShared(t))
				time.Sleep(7 * time.Second) // in the midst of an interval
				n.cut.Store(true)
				notice(t, n)
				n.await(t, failover.Degraded)
				time.Sleep(time.Second)
				n.cut.Store(false)
				back := time.Now()
				n.await(t, failover.Healthy)
				if took := time.Since(back); took > endsWithin {
					t.Errorf("the outage went on for %v", took)
				}
			})
		})
	}
}

// TestTheMirrorFollowsAtOnce: the follower's pause does not outlive the outage.
func TestTheMirrorFollowsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var followed atomic.Bool
		shared := newToll(newShared(t))
		n := withOptions(t, shared, failover.Options{RetryDelay: time.Minute})
		n.cut.Store(true)
		n.create(t, "u")
		n.await(t, failover.Degraded)
		time.Sleep(20 * time.Second)
		shared.keep(func(_ context.Context, call string, _ ...string) error {
			if call == "changes" {
				followed.Store(true)
			}
			return nil
		})
		n.cut.Store(false)
		for n.failover.Health(t.Context()).State != failover.Healthy {
			time.Sleep(time.Second)
		}
		time.Sleep(time.Second)
		if !followed.Load() {
			t.Error("it is well and the feed is not followed")
		}
	})
}

// refusing fails calls of some kinds, whatever the probe says.
func refusing(err error, calls ...string) keeper {
	return func(_ context.Context, call string, _ ...string) error {
		for _, c := range calls {
			if c == call {
				return err
			}
		}
		return nil
	}
}

// TestCallsThatKeepFailingAreAnOutage although each probe is well: logins and
// logouts are served all the same.
func TestCallsThatKeepFailingAreAnOutage(t *testing.T) {
	errFull := fmt.Errorf("%w: no room", perdure.ErrFull)
	for name, c := range map[string]struct {
		err   error
		calls []string
		do    func(t *testing.T, n *node, id string) error
	}{
		"create":         {errCut, []string{"apply"}, create},
		"create, full":   {errFull, []string{"apply"}, create},
		"delete":         {errCut, []string{"apply"}, func(t *testing.T, n *node, id string) error { _, err := n.Delete(t.Context(), id); return err }},
		"touch, full":    {errFull, []string{"apply"}, func(t *testing.T, n *node, id string) error { _, err := n.Touch(t.Context(), id); return err }},
		"get":            {errCut, []string{"get"}, func(t *testing.T, n *node, id string) error { _, err := n.Get(t.Context(), id); return err }},
		"revoke a user":  {errCut, []string{"removeUser", "apply"}, revoke},
		"revoke at full": {errFull, []string{"removeUser"}, revoke},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				shared := newToll(newShared(t))
				n := atDefaults(t, shared)
				id := n.create(t, "u")
				shared.keep(refusing(c.err, c.calls...))
				if err := c.do(t, n, id); err != nil {
					t.Errorf("it is not served: %v", err)
				}
				if h := n.failover.Health(t.Context()); h.State == failover.Healthy || h.Reason == "" {
					t.Errorf("%+v", h)
				}
				shared.keep(nil)
				n.await(t, failover.Healthy)
				if h := n.failover.Health(t.Context()); h.JournalDepth > 0 {
					t.Errorf("%+v", h)
				}
			})
		})
	}
}

func create(t *testing.T, n *node, _ string) error {
	_, err := n.Create(t.Context(), perdure.Data{UserID: "ada"})
	return err
}

func revoke(t *testing.T, n *node, _ string) error {
	_, err := n.RevokeUser(t.Context(), "u")
	return err
}

// TestOneReaderIsNoOutage: lists, scans, counts and feeds that fail are their
// callers' trouble.
func TestOneReaderIsNoOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shared := newToll(newShared(t))
		n := atDefaults(t, shared)
		user := perdure.HashUser("u")
		n.create(t, "u")
		shared.keep(refusing(errCut, "list", "scan", "stats", "changes"))
		for name, call := range map[string]func() error{
			"list":  func() error { _, err := n.failover.ListUser(t.Context(), user, "", 10); return err },
			"scan":  func() error { _, err := n.failover.Scan(t.Context(), perdure.ScanQuery{Limit: 10}); return err },
			"stats": func() error { _, err := n.failover.Stats(t.Context()); return err },
		} {
			if err := call(); !errors.Is(err, perdure.ErrUnavailable) {
				t.Errorf("%s: %v", name, err)
			}
		}
		time.Sleep(time.Minute)
		if h := n.failover.Health(t.Context()); h.State != failover.Healthy {
			t.Errorf("%+v", h)
		}
	})
}
