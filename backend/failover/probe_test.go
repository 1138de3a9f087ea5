package failover_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

// TestOneCallerDoesNotDecideForAll: a caller who leaves in the middle of a probe
// has not found an outage.
func TestOneCallerDoesNotDecideForAll(t *testing.T) {
	shared := newToll(newShared(t))
	n := newNode(t, shared, failover.Options{ProbeTimeout: 20 * time.Second, HealthCheckInterval: time.Hour})
	id := n.create(t, "u")
	before := n.failover.Health(t.Context()).Transitions
	probing, release := make(chan struct{}, 100), make(chan struct{})
	var failed atomic.Bool
	shared.keep(func(ctx context.Context, call string, _ ...string) error {
		switch {
		case call == "get" && !failed.Swap(true):
			return errCut
		case call == "ping":
			probing <- struct{}{}
			select {
			case <-release:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() { _, err := n.Get(ctx, id); left <- err }()
	<-probing
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the caller got %v", err)
	}
	close(release)
	n.want(t, true, id)
	if h := n.failover.Health(t.Context()); h.State != failover.Healthy || h.Transitions != before {
		t.Errorf("%+v", h)
	}
}

// TestCallersShareAProbe: many who fail at once cost one probe or two, not one
// after the other.
func TestCallersShareAProbe(t *testing.T) {
	const callers = 64
	shared := newToll(newShared(t))
	n := newNode(t, shared, failover.Options{ProbeTimeout: 20 * time.Second, HealthCheckInterval: time.Hour})
	id := n.create(t, "u")
	var failed, probes atomic.Int32
	all := make(chan struct{})
	shared.keep(func(ctx context.Context, call string, _ ...string) error {
		switch call {
		case "get":
			switch now := failed.Add(1); {
			case now == callers:
				close(all)
				return errCut
			case now < callers:
				return errCut
			}
		case "ping":
			probes.Add(1)
			<-all
		}
		return nil
	})
	var done sync.WaitGroup
	for range callers {
		done.Go(func() { n.want(t, true, id) })
	}
	done.Wait()
	if got := probes.Load(); got > callers/2 {
		t.Errorf("%d probes", got)
	}
}

// TestAFrontThatStopsToAnswerReads is not asked any more.
func TestAFrontThatStopsToAnswerReads(t *testing.T) {
	shared := newToll(newShared(t))
	n := newNode(t, shared, failover.Options{})
	id := n.create(t, "u")
	shared.keep(readsOnly)
	n.await(t, failover.Degraded)
	var asked atomic.Int32
	shared.keep(func(_ context.Context, call string, _ ...string) error {
		if call == "get" {
			asked.Add(1)
		}
		return errCut
	})
	for deadline := time.Now().Add(time.Minute); ; {
		before := asked.Load()
		n.want(t, true, id)
		if asked.Load() == before {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it is still asked by every read")
		}
	}
}

// TestARecoveryThatIsOvertaken by another outage does not end it.
func TestARecoveryThatIsOvertaken(t *testing.T) {
	var mu sync.Mutex
	var told []failover.Transition
	shared := newToll(newShared(t))
	n := newNode(t, shared, failover.Options{Notify: func(tr failover.Transition) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, tr)
	}})
	known := n.create(t, "u")
	n.cut.Store(true)
	n.create(t, "u")
	merging, release := make(chan struct{}, 1), make(chan struct{})
	var ill atomic.Bool
	var probes atomic.Int32
	shared.keep(func(_ context.Context, call string, _ ...string) error {
		switch {
		case call == "merge":
			merging <- struct{}{}
			<-release
			return nil
		case call == "ping":
			probes.Add(1)
		}
		if ill.Load() {
			return errCut
		}
		return nil
	})
	n.cut.Store(false)
	<-merging
	ill.Store(true)
	n.want(t, true, known) // notices
	before := probes.Load()
	close(release)
	for probes.Load() == before { // the monitor is past the recovery
		time.Sleep(time.Millisecond)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, tr := range told {
		if tr.From == failover.Degraded && tr.To == failover.Healthy {
			t.Errorf("an outage ended without a recovery: %+v", tr)
		}
	}
}

// TestCloseIsNoOutage: what ends with it is not taken for one.
func TestCloseIsNoOutage(t *testing.T) {
	var outages atomic.Int32
	shared := newToll(newShared(t))
	n := newNode(t, shared, failover.Options{ProbeTimeout: 20 * time.Second, Notify: func(tr failover.Transition) {
		if tr.To == failover.Degraded {
			outages.Add(1)
		}
	}})
	probing := make(chan struct{}, 100)
	shared.keep(func(ctx context.Context, call string, _ ...string) error {
		if call == "ping" {
			probing <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	})
	<-probing
	if err := n.failover.Close(); err != nil {
		t.Fatal(err)
	}
	if outages.Load() > 0 {
		t.Error("closing it was told as an outage")
	}
}

// dialled is a front store that does not say which history it has, or fails to.
type dialled struct {
	cable
	made  *atomic.Uint64
	fails *atomic.Bool
}

func (d dialled) Connections() uint64 { return d.made.Load() }
func (d dialled) Incarnation(context.Context) (string, error) {
	if d.fails.Load() {
		return "", errCut
	}
	return "", nil
}

func newDialled(t *testing.T, shared perdure.Backend) (*node, dialled) {
	t.Helper()
	n := &node{cut: &atomic.Bool{}}
	front := dialled{cable{shared, n.cut}, &atomic.Uint64{}, &atomic.Bool{}}
	front.made.Store(1)
	n.open(t, failover.Options{
		Open:       func(context.Context) (perdure.Backend, error) { return front, nil },
		RetryDelay: 10 * time.Millisecond, HealthCheckInterval: time.Hour,
	})
	n.await(t, failover.Healthy)
	return n, front
}

// TestADoubtIsNotForgotten: whoever meets the sign of a loss has everything
// compared.
func TestADoubtIsNotForgotten(t *testing.T) {
	shared := newToll(newShared(t))
	shared.keep(unfollowed)
	n, front := newDialled(t, shared)
	id := n.create(t, "u")
	forget(t, shared.Backend, id)
	front.made.Add(1)
	if _, err := n.Get(t.Context(), perdure.NewID(7)); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("a stranger, connected anew: %v", err)
	}
	for deadline := time.Now().Add(time.Minute); !stored(t, shared.Backend, id).Exists(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("what the front store has lost is not given back")
		}
	}
}

// TestAHistoryThatCannotBeRead is not taken for the one that was known.
func TestAHistoryThatCannotBeRead(t *testing.T) {
	shared := newToll(newShared(t))
	shared.keep(unfollowed)
	n, front := newDialled(t, shared)
	front.fails.Store(true)
	front.made.Add(1)
	if _, err := n.Get(t.Context(), perdure.NewID(7)); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("a stranger: %v", err)
	}
}
