package failover_test

import (
	"errors"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

// TestAnExpectedVersionInAnOutage: of several processes that are cut off none can know
// that no other has accepted the version; of a session that is known to nobody else the
// one that made it can.
func TestAnExpectedVersionInAnOutage(t *testing.T) {
	shared := newShared(t)
	var nodes []*node
	for range 3 {
		nodes = append(nodes, newNode(t, shared, failover.Options{}))
	}
	id := nodes[0].create(t, "u")
	session, err := nodes[0].Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	patch := perdure.Patch{Expected: session.Version, Metadata: map[string]any{"a": 1}}
	accepted := 0
	for _, n := range nodes {
		n.want(t, true, id)
		n.cut.Store(true)
	}
	for _, n := range nodes {
		switch _, err := n.Update(t.Context(), id, patch); {
		case err == nil:
			accepted++
		case !errors.Is(err, perdure.ErrUnavailable):
			t.Errorf("not decided: %v", err)
		}
	}
	if accepted > 0 {
		t.Errorf("%d of 3 processes have accepted one version", accepted)
	}
	own, err := nodes[0].Create(t.Context(), perdure.Data{UserID: "u"})
	if err != nil {
		t.Fatal(err)
	}
	next, err := nodes[0].Update(t.Context(), own.ID, perdure.Patch{Expected: own.Version, Username: ptr("x")})
	if err != nil {
		t.Errorf("of a session that was made here in the outage: %v", err)
	}
	if _, err = nodes[0].Update(t.Context(), own.ID, perdure.Patch{Expected: own.Version, Username: ptr("y")}); !errors.Is(err, perdure.ErrConflict) {
		t.Errorf("of its version before: %v", err)
	}
	for _, n := range nodes {
		n.cut.Store(false)
		n.await(t, failover.Healthy)
	}
	if _, err := nodes[1].Update(t.Context(), own.ID, perdure.Patch{Expected: next.Version, Username: ptr("z")}); err != nil {
		t.Errorf("after the outage: %v", err)
	}
	nodes[0].cut.Store(true)
	if _, err := nodes[0].Update(t.Context(), own.ID, perdure.Patch{Expected: next.Version, Username: ptr("z")}); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("in the next outage it is known to all: %v", err)
	}
}

func ptr[T any](v T) *T { return &v }
