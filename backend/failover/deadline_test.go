package failover_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

// patient waits for changes as long as it is asked to: days of virtual time cost less.
type patient struct{ cable }

func (p patient) Changes(ctx context.Context, after string, limit int, wait time.Duration) (perdure.ChangeBatch, error) {
	if err := p.err(); err != nil {
		return perdure.ChangeBatch{}, err
	}
	return p.Backend.Changes(ctx, after, limit, wait)
}

// newProcess is a node at default settings, for virtual time.
func newProcess(t *testing.T, shared perdure.Backend, options failover.Options) *node {
	t.Helper()
	return startProcess(t, shared, options, perdure.Options{})
}

func startProcess(t *testing.T, shared perdure.Backend, options failover.Options, store perdure.Options) *node {
	t.Helper()
	n := &node{cut: &atomic.Bool{}}
	options.Open = func(context.Context) (perdure.Backend, error) {
		c := patient{cable{shared, n.cut}}
		return c, c.err()
	}
	n.openWith(t, options, store)
	n.await(t, failover.Healthy)
	return n
}

// cutOff begins an outage of the node alone.
func (n *node) cutOff(t *testing.T) {
	t.Helper()
	n.cut.Store(true)
	n.create(t, "somebody")
	n.await(t, failover.Degraded)
}

// wantUnknown fails unless each call but a logout says that the session's life cannot be
// told, and the logout is taken.
func (n *node) wantUnknown(t *testing.T, id string) {
	t.Helper()
	for call, err := range map[string]error{
		"Get":    errorOf(n.Get(t.Context(), id)),
		"Exists": errorOf(n.Exists(t.Context(), id)),
		"Touch":  errorOf(n.Touch(t.Context(), id)),
		"Update": errorOf(n.Update(t.Context(), id, perdure.Patch{Roles: []string{"r"}})),
		"Rotate": errorOf(n.Rotate(t.Context(), id, 0)),
		"GetMany": func() error {
			_, missing, err := n.GetMany(t.Context(), []string{id})
			if len(missing) > 0 {
				t.Errorf("GetMany says that %s is missing", id)
			}
			return err
		}(),
	} {
		if !errors.Is(err, perdure.ErrUnavailable) {
			t.Errorf("%s: %v, not unavailable", call, err)
		}
	}
}

func errorOf[T any](_ T, err error) error { return err }

// TestPastTheDeadlineOfACopy: others may have kept the session alive, so that who is
// cut off does not say that it has ended.
func TestPastTheDeadlineOfACopy(t *testing.T) {
	for name, c := range map[string]struct {
		store perdure.Options
		keep  func(t *testing.T, other *node, id string)
		steps [3]time.Duration // to the outage, to what others do, to the question
	}{
		"extended elsewhere": {perdure.Options{TTL: 2 * time.Hour}, func(t *testing.T, other *node, id string) {
			if _, err := other.Update(t.Context(), id, perdure.Patch{ExpiresAt: time.Now().Add(72 * time.Hour)}); err != nil {
				t.Error(err)
			}
		}, [...]time.Duration{50 * time.Minute, 50 * time.Minute, 30 * time.Minute}},
		"touched elsewhere": {perdure.Options{IdleTimeout: 30 * time.Minute}, func(t *testing.T, other *node, id string) {
			if ok, err := other.Touch(t.Context(), id); !ok || err != nil {
				t.Error(ok, err)
			}
		}, [...]time.Duration{0, 20 * time.Minute, 20 * time.Minute}},
	} {
		for _, mirror := range []failover.Mirror{failover.MirrorSeen, failover.MirrorFull} {
			t.Run(name+", "+string(mirror), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					shared := newShared(t)
					n, other := startProcess(t, shared, failover.Options{Mirror: mirror}, c.store), startProcess(t, shared, failover.Options{}, c.store)
					var ids []string
					for range 4 {
						ids = append(ids, other.create(t, "u"))
					}
					time.Sleep(c.steps[0])
					n.want(t, true, ids...)
					n.cutOff(t)
					if ok, err := n.Touch(t.Context(), ids[1]); !ok || err != nil { // into the journal
						t.Fatal(ok, err)
					}
					time.Sleep(c.steps[1])
					for _, id := range ids {
						c.keep(t, other, id)
					}
					time.Sleep(c.steps[2])
					other.want(t, true, ids...)
					n.wantUnknown(t, ids[0])
					n.wantUnknown(t, ids[1])
					if s, err := n.GetByUserID(t.Context(), "u"); !errors.Is(err, perdure.ErrUnavailable) {
						t.Errorf("GetByUserID: %v, %v", s, err)
					}
					for _, id := range ids[:3] {
						if ok, err := n.Delete(t.Context(), id); !ok || err != nil {
							t.Errorf("a logout: %v, %v", ok, err)
						}
					}
					n.want(t, false, ids[:3]...)
					n.cut.Store(false)
					n.await(t, failover.Healthy)
					for _, who := range []*node{n, other} {
						who.want(t, false, ids[:3]...)
						who.want(t, true, ids[3])
					}
				})
			})
		}
	}
}

// TestWhatNobodyElseCanKeepAlive is over at its deadline: a session that was minted in
// this outage here, and one that is past its horizon.
func TestWhatNobodyElseCanKeepAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := startProcess(t, newShared(t), failover.Options{}, perdure.Options{TTL: 4 * time.Hour, Horizon: 12 * time.Hour})
		old := n.create(t, "u")
		n.cutOff(t)
		made, err := n.Create(t.Context(), perdure.Data{UserID: "u", TTL: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Hour)
		n.want(t, true, old)
		n.want(t, false, made.ID)
		if ok, err := n.Touch(t.Context(), made.ID); ok || err != nil {
			t.Errorf("a touch: %v, %v", ok, err)
		}
		time.Sleep(3 * time.Hour)
		n.wantUnknown(t, old)
		time.Sleep(8 * time.Hour)
		n.want(t, false, old)
		n.cut.Store(false)
		n.await(t, failover.Healthy)
		n.want(t, false, old, made.ID)
	})
}

// TestTheAgeOfWhatIsInTheJournal is bounded too: a touch makes nothing younger. What
// was minted in the outage is as young as can be.
func TestTheAgeOfWhatIsInTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newProcess(t, newShared(t), failover.Options{MaxAge: 2 * time.Second})
		touched, updated, out := n.create(t, "u"), n.create(t, "u"), n.create(t, "u")
		n.cutOff(t)
		if ok, err := n.Touch(t.Context(), touched); !ok || err != nil {
			t.Fatal(ok, err)
		}
		if err := errors.Join(writes(n, updated), writes(n, out)); err != nil {
			t.Fatal(err)
		}
		minted := n.create(t, "u")
		successor := n.rotate(t, minted)
		time.Sleep(3 * time.Second)
		n.wantUnknown(t, touched)
		n.wantUnknown(t, updated)
		n.want(t, true, successor)
		if err := ends(n, out); err != nil {
			t.Error(err)
		}
		n.want(t, false, out)
		n.cut.Store(false)
		n.await(t, failover.Healthy)
		n.want(t, true, touched, updated, successor)
		n.want(t, false, out)
	})
}
