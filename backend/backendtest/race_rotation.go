package backendtest

import (
	"fmt"

	"github.com/perdure/perdure"
)

// Races around a rotation.

func oneRotationWins(r *rig) {
	for range r.size(20) {
		u := r.user()
		parent := r.create(r.session(u))
		const writers = 4
		var children [writers]perdure.Record
		var won [writers]bool
		r.parallel(writers, func(i int) error {
			batch, _, child := r.rotation(parent)
			result, err := tryApply(r, r.either(i), batch...)
			children[i], won[i] = child, result.Outcome == perdure.Applied
			return err
		})
		var winner []perdure.Record
		for i, child := range children {
			if won[i] {
				winner = append(winner, child)
			}
		}
		if len(winner) != 1 {
			r.t.Fatalf("of %d rotations of one session %d were applied", writers, len(winner))
		}
		r.lists("the user's sessions", u, 10, winner)
		if tomb := r.stored(parent.ID); tomb.Reason != perdure.ReasonRotated || tomb.Body != winner[0].ID {
			r.t.Fatalf("a rotated session left %s", show(tomb))
		}
	}
}

func deleteOrRotateNeverBoth(r *rig) {
	for range r.size(25) {
		u := r.user()
		parent := r.create(r.session(u))
		batch, tomb, child := r.rotation(parent)
		var rotated, removed perdure.Result
		r.parallel(2, func(i int) (err error) {
			if i == 0 {
				rotated, err = tryApply(r, r.a, batch...)
			} else {
				removed, err = tryApply(r, r.b, remove(parent.ID, r.version(), perdure.ReasonLogout))
			}
			return err
		})
		switch {
		case rotated.Outcome == perdure.Applied && removed.Outcome == perdure.Absent && removed.Stored == tomb:
			r.lists("the user's sessions", u, 10, []perdure.Record{child})
		case rotated.Outcome == perdure.Conflict && removed.Outcome == perdure.Applied:
			r.lists("the user's sessions", u, 10, nil)
			r.holdsNothing(child.ID)
		default:
			r.t.Fatalf("a rotation: %s; a logout beside it: %s", showResult(rotated), showResult(removed))
		}
	}
}

// aRotationIsSeenWhole: who has seen one half of a rotation sees the other.
func aRotationIsSeenWhole(r *rig) {
	for range r.size(25) {
		parent := r.create(r.session(r.user()))
		batch, _, child := r.rotation(parent)
		r.parallel(3, func(i int) error {
			b := r.either(i)
			if r.cfg.Stale {
				b = r.a // never behind its own
			}
			if i == 0 {
				return mustApply(r, b, batch...)
			}
			first, second := parent.ID, child.ID
			if i == 2 {
				first, second = second, first
			}
			return seesBoth(r, b, parent, first, second)
		})
	}
}

// seesBoth reads the first id until it has changed, and then the second once.
func seesBoth(r *rig, b perdure.Backend, parent perdure.Record, first, second string) error {
	unchanged := func(record perdure.Record) bool { return !record.Exists() || record == parent }
	for {
		record, err := b.Get(r.ctx, first)
		if err != nil {
			return err
		}
		if unchanged(record) {
			continue
		}
		record, err = b.Get(r.ctx, second)
		if err == nil && unchanged(record) {
			err = fmt.Errorf("one half of a rotation is there without the other, %s", second)
		}
		return err
	}
}
