package failover_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

// TestALogoutOfAnAncestor: a logout in an outage ends the session whatever id it names
// of those that it had, at once, for every call through the process that took it.
func TestALogoutOfAnAncestor(t *testing.T) {
	type scene func(t *testing.T, n, other *node, front toll) (third string)
	rotateTwice := func(t *testing.T, n *node, id string) string { return n.rotate(t, n.rotate(t, id)) }
	scenes := map[string]scene{
		"rotated elsewhere after it, and the store answers reads": func(t *testing.T, n, other *node, front toll) string {
			first := n.create(t, "u")
			other.want(t, true, first)
			n.cutOff(t)
			n.delete(t, first)
			third := rotateTwice(t, other, first)
			front.keep(readsOnly)
			n.cut.Store(false)
			for {
				if _, err := n.Get(t.Context(), third); !errors.Is(err, perdure.ErrUnavailable) {
					return third
				}
				time.Sleep(time.Second)
			}
		},
		"rotated before, and held here": func(t *testing.T, n, other *node, _ toll) string {
			first := n.create(t, "u")
			other.want(t, true, first)
			third := rotateTwice(t, other, first)
			time.Sleep(time.Minute)
			n.want(t, true, third)
			n.cutOff(t)
			n.delete(t, first)
			return third
		},
		"changed here in the outage": func(t *testing.T, n, other *node, front toll) string {
			first := n.create(t, "u")
			other.want(t, true, first)
			front.keep(unfollowed)
			third := rotateTwice(t, other, first)
			n.want(t, true, third)
			n.cutOff(t)
			n.set(t, third, "k")
			n.delete(t, first)
			return third
		},
	}
	for name, play := range scenes {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				front := newToll(newShared(t))
				n, other := newProcess(t, front, failover.Options{}), newProcess(t, front.Backend, failover.Options{})
				third := play(t, n, other, front)
				n.want(t, false, third)
				if sessions, err := n.GetByUserID(t.Context(), "u"); err == nil && len(sessions) > 0 {
					t.Errorf("the user has %v", sessions)
				}
				if sessions, _, err := n.GetMany(t.Context(), []string{third}); err != nil || len(sessions) > 0 {
					t.Errorf("got %v, %v", sessions, err)
				}
				if ok, err := n.Touch(t.Context(), third); ok || err != nil {
					t.Errorf("touched %v, %v", ok, err)
				}
				for call, err := range map[string]error{
					"update": errorOf(n.Update(t.Context(), third, perdure.Patch{Roles: []string{"r"}})),
					"rotate": errorOf(n.Rotate(t.Context(), third, 0)),
				} {
					if !errors.Is(err, perdure.ErrNotFound) {
						t.Errorf("%s: %v", call, err)
					}
				}
				front.keep(nil)
				n.cut.Store(false)
				n.await(t, failover.Healthy)
				n.want(t, false, third)
				other.want(t, false, third)
			})
		})
	}
}

// TestARevocationSparesWhatWasRotatedElsewhere: the process that takes it holds the
// session under the id before, and must not end that: it would end its successor.
func TestARevocationSparesWhatWasRotatedElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		front := newToll(newShared(t))
		n, other := newProcess(t, front, failover.Options{}), newProcess(t, front.Backend, failover.Options{})
		first := n.create(t, "u")
		other.want(t, true, first)
		n.cutOff(t)
		n.set(t, first, "k")
		second := other.rotate(t, first)
		front.keep(readsOnly)
		n.cut.Store(false)
		for {
			if _, err := n.RevokeUser(t.Context(), "u", second); err == nil {
				break
			} else if !errors.Is(err, perdure.ErrUnavailable) {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		front.keep(nil)
		n.await(t, failover.Healthy)
		n.want(t, true, second)
		other.want(t, true, second)
	})
}
