package failover_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/backend/local"
)

// cable is a backend that can be cut off.
type cable struct {
	perdure.Backend
	cut *atomic.Bool
}

var errCut = fmt.Errorf("%w: the cable is cut", perdure.ErrUnavailable)

func (c cable) err() error {
	if c.cut.Load() {
		return errCut
	}
	return nil
}

func (c cable) Get(ctx context.Context, id string) (perdure.Record, error) {
	if err := c.err(); err != nil {
		return perdure.Record{}, err
	}
	return c.Backend.Get(ctx, id)
}

func (c cable) Load(ctx context.Context, ids []string) ([]perdure.Record, error) {
	if err := c.err(); err != nil {
		return nil, err
	}
	return c.Backend.Load(ctx, ids)
}

func (c cable) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	if err := c.err(); err != nil {
		return nil, err
	}
	return c.Backend.Apply(ctx, batches)
}

func (c cable) ListUser(ctx context.Context, user perdure.UserKey, after string, limit int) (perdure.Page, error) {
	if err := c.err(); err != nil {
		return perdure.Page{}, err
	}
	return c.Backend.ListUser(ctx, user, after, limit)
}

func (c cable) RemoveUser(ctx context.Context, r perdure.UserRemoval) (perdure.UserRemoved, error) {
	if err := c.err(); err != nil {
		return perdure.UserRemoved{}, err
	}
	return c.Backend.RemoveUser(ctx, r)
}

func (c cable) Changes(ctx context.Context, after string, limit int, wait time.Duration) (perdure.ChangeBatch, error) {
	if err := c.err(); err != nil {
		return perdure.ChangeBatch{}, err
	}
	batch, err := c.Backend.Changes(ctx, after, limit, min(wait, 20*time.Millisecond))
	if cut := c.err(); cut != nil { // while it was waiting
		return perdure.ChangeBatch{}, cut
	}
	return batch, err
}

func (c cable) Ping(ctx context.Context) error { return errors.Join(c.err(), c.Backend.Ping(ctx)) }

func (c cable) Inspect(context.Context) ([]perdure.Finding, error) { return nil, c.err() }

// Close leaves the store that others share.
func (c cable) Close() error { return nil }

// node is one process on a shared store.
type node struct {
	*perdure.Store
	failover *failover.Backend
	cut      *atomic.Bool
}

func newShared(t *testing.T) perdure.Backend {
	t.Helper()
	shared, err := local.Open(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shared.Close() })
	return shared
}

func newNode(t *testing.T, shared perdure.Backend, options failover.Options) *node {
	t.Helper()
	n := startNode(t, shared, options)
	n.await(t, failover.Healthy)
	return n
}

func startNode(t *testing.T, shared perdure.Backend, options failover.Options) *node {
	t.Helper()
	n := &node{cut: &atomic.Bool{}}
	options.Open = func(ctx context.Context) (perdure.Backend, error) {
		c := cable{shared, n.cut}
		return c, c.err()
	}
	if options.RetryDelay == 0 {
		options.RetryDelay = 10 * time.Millisecond
	}
	if options.ProbeTimeout == 0 {
		options.ProbeTimeout = time.Minute // a busy machine is no outage
	}
	if options.HealthCheckInterval == 0 {
		options.HealthCheckInterval = 20 * time.Millisecond
	}
	n.open(t, options)
	return n
}

// open opens the node's backend and the store over it.
func (n *node) open(t *testing.T, options failover.Options) {
	t.Helper()
	n.openWith(t, options, perdure.Options{SweepInterval: -1})
}

func (n *node) openWith(t *testing.T, options failover.Options, store perdure.Options) {
	t.Helper()
	var err error
	if options.Uptime == nil {
		options.Uptime = uptime
	}
	if n.failover, err = failover.Open(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	if n.Store, err = perdure.New(n.failover, store); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Store.Close() })
}

// uptime is that of a machine of the test, in virtual time too.
func uptime() (boot string, up time.Duration) {
	return "test", time.Since(time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC))
}

// await returns when the node is in the state.
func (n *node) await(t *testing.T, want failover.State) {
	t.Helper()
	n.awaitHealth(t, func(h failover.Health) bool { return h.State == want })
}

// awaitHealth returns when the node's health is as wanted.
func (n *node) awaitHealth(t *testing.T, wanted func(failover.Health) bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		h := n.failover.Health(t.Context())
		if wanted(h) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("health stays %+v", h)
		}
		time.Sleep(time.Millisecond)
	}
}

func (n *node) create(t *testing.T, user string) string {
	t.Helper()
	s, err := n.Create(t.Context(), perdure.Data{UserID: user, Metadata: map[string]any{"a": 0, "b": 0}})
	if err != nil {
		t.Fatal(err)
	}
	return s.ID
}

func (n *node) want(t *testing.T, alive bool, ids ...string) {
	t.Helper()
	for _, id := range ids {
		_, err := n.Get(t.Context(), id)
		if alive && err != nil || !alive && !errors.Is(err, perdure.ErrNotFound) {
			t.Errorf("%s: alive should be %v: %v", id, alive, err)
		}
	}
}

func TestAnOutageLosesNothingAndRevivesNobody(t *testing.T) {
	shared := newShared(t)
	n, other := newNode(t, shared, failover.Options{}), newNode(t, shared, failover.Options{})
	var before, during, out []string
	for i := range 200 {
		before = append(before, n.create(t, fmt.Sprint("user", i)))
	}
	n.cut.Store(true)
	n.want(t, true, before...)
	for i := range 200 {
		during = append(during, n.create(t, fmt.Sprint("user", i)))
	}
	out, before = before[:50], before[50:]
	for _, id := range out {
		if ok, err := n.Delete(t.Context(), id); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	n.want(t, false, out...)
	n.want(t, true, during...)
	other.want(t, true, before...)
	n.cut.Store(false)
	n.await(t, failover.Healthy)
	for _, node := range []*node{n, other} {
		node.want(t, true, before...)
		node.want(t, true, during...)
		node.want(t, false, out...)
	}
	if h := n.failover.Health(t.Context()); h.JournalDepth != 0 || h.Refused != 0 {
		t.Errorf("%+v", h)
	}
}

// TestInspect: the report says that there is an outage, and does not fail with it.
func TestInspect(t *testing.T) {
	n := newNode(t, newShared(t), failover.Options{})
	outage := func() bool {
		t.Helper()
		findings, err := n.failover.Inspect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return slices.ContainsFunc(findings, func(f perdure.Finding) bool {
			return f.Name == "failover" && f.Severity == perdure.SeverityWarning && strings.HasPrefix(f.Found, "degraded since ")
		})
	}
	if outage() {
		t.Error("there is none")
	}
	n.cut.Store(true)
	n.await(t, failover.Degraded)
	if !outage() {
		t.Error("the outage is not in the report")
	}
}

func TestWhatThisProcessDoesNotKnow(t *testing.T) {
	shared := newShared(t)
	n, other := newNode(t, shared, failover.Options{Mirror: failover.MirrorSeen}), newNode(t, shared, failover.Options{})
	kept, ended := other.create(t, "u"), other.create(t, "u")
	n.cut.Store(true)
	if _, err := n.Get(t.Context(), kept); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("Get: %v", err)
	}
	if _, err := n.Touch(t.Context(), kept); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("Touch: %v", err)
	}
	if _, err := n.Update(t.Context(), kept, perdure.Patch{Roles: []string{"r"}}); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("Update: %v", err)
	}
	if _, err := n.GetByUserID(t.Context(), "u"); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("GetByUserID: %v", err)
	}
	if ok, err := n.Delete(t.Context(), ended); !ok || err != nil {
		t.Errorf("Delete: %v, %v", ok, err)
	}
	n.want(t, false, ended)
	n.cut.Store(false)
	n.await(t, failover.Healthy)
	for _, node := range []*node{n, other} {
		node.want(t, true, kept)
		node.want(t, false, ended)
	}
}

func TestTwoSidesOfAPartition(t *testing.T) {
	shared := newShared(t)
	a, b := newNode(t, shared, failover.Options{}), newNode(t, shared, failover.Options{})
	both, out, rotated := a.create(t, "u"), a.create(t, "u"), a.create(t, "u")
	b.want(t, true, both, out, rotated)
	a.cut.Store(true)
	for key, n := range map[string]*node{"a": a, "b": b} {
		if _, err := n.Update(t.Context(), both, perdure.Patch{Metadata: map[string]any{key: 1}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Touch(t.Context(), out); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Update(t.Context(), out, perdure.Patch{Roles: []string{"late"}}); err != nil {
		t.Fatal(err)
	}
	successor, err := a.Rotate(t.Context(), rotated, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{out, rotated} {
		if ok, err := b.Delete(t.Context(), id); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	a.cut.Store(false)
	a.await(t, failover.Healthy)
	for _, n := range []*node{a, b} {
		s, err := n.Get(t.Context(), both)
		if m, _ := s.Metadata.MarshalJSON(); err != nil || string(m) != `{"a":1,"b":1}` {
			t.Errorf("got %s, %v", m, err)
		}
		n.want(t, false, out, rotated, successor.ID)
	}
}

func TestRevokeUserInAnOutage(t *testing.T) {
	shared := newShared(t)
	a, b := newNode(t, shared, failover.Options{}), newNode(t, shared, failover.Options{})
	known, unknown := a.create(t, "u"), b.create(t, "u")
	a.cut.Store(true)
	if n, err := a.RevokeUser(t.Context(), "u"); n != 1 && n != 2 || err != nil { // it may have heard of the other one
		t.Fatal(n, err)
	}
	later := a.create(t, "u")
	a.want(t, false, known)
	a.want(t, true, later)
	a.cut.Store(false)
	a.await(t, failover.Healthy)
	for _, n := range []*node{a, b} {
		n.want(t, false, known, unknown)
		n.want(t, true, later)
	}
}

func TestAnIDFromTheOtherSideIsNotNotFound(t *testing.T) {
	shared := newShared(t)
	a, b := newNode(t, shared, failover.Options{}), newNode(t, shared, failover.Options{})
	a.cut.Store(true)
	id := a.create(t, "u")
	if _, err := b.Get(t.Context(), id); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("Get: %v", err)
	}
	a.cut.Store(false)
	a.await(t, failover.Healthy)
	b.want(t, true, id)
}

func TestTheJournalOutlivesTheProcess(t *testing.T) {
	shared, dir := newShared(t), t.TempDir()
	options := failover.Options{Dir: dir}
	n := newNode(t, shared, options)
	n.cut.Store(true)
	var ids []string
	for range 20 {
		ids = append(ids, n.create(t, "u"))
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	again := newNode(t, shared, options)
	again.want(t, true, ids...)
	if h := again.failover.Health(t.Context()); h.JournalDepth != 0 || !h.JournalDurable {
		t.Errorf("%+v", h)
	}
}

func TestTransitionsAreTold(t *testing.T) {
	states := make(chan failover.State, 100)
	n := newNode(t, newShared(t), failover.Options{Notify: func(tr failover.Transition) { states <- tr.To }})
	n.cut.Store(true)
	n.create(t, "u")
	n.cut.Store(false)
	n.await(t, failover.Healthy)
	var got []failover.State
	for len(got) < 5 {
		got = append(got, <-states)
	}
	want := []failover.State{failover.Recovering, failover.Healthy, failover.Degraded, failover.Recovering, failover.Healthy}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
