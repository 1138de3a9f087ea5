package simulation

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/perdure/perdure"
)

func isUnavailable(err error) bool { return errors.Is(err, perdure.ErrUnavailable) }

// checkVersions looks for updates of a session that were lost, or took one version
// for their own twice.
func (j *judge) checkVersions(x *session) {
	expected := map[perdure.Version]*Event{}
	for _, u := range x.updates {
		if u.Step.Op != Expect || !u.acked() {
			continue
		}
		v := u.list[0].Version
		if other := expected[v]; other != nil {
			j.breach(TwoUpdates, u, "steps %d and %d both changed the same version of %s", other.Step.N, u.Step.N, j.name(x.id))
		}
		expected[v] = u
	}
	if x.parent != nil || len(x.rotations) > 0 {
		return // its changes may have gone elsewhere
	}
	for _, last := range x.expiries {
		for _, w := range slices.Concat(x.expiries, []*Event{x.made}) {
			if w != last && w.acked() && last.acked() && j.lapsed(w, last) {
				return // it was over in between
			}
		}
	}
	for _, e := range j.w.events {
		if e.final && e.id == x.id && e.acked() {
			for k := range 3 {
				j.checkKey(x, e, fmt.Sprint("k", k))
			}
		}
	}
}

// checkKey compares the value of a key with what it may be: the last that was
// acknowledged, or one that may have come later.
func (j *judge) checkKey(x *session, e *Event, key string) {
	var last *Event
	var maybe []int
	anew := false
	for _, u := range x.updates {
		switch {
		case fmt.Sprint("k", u.Step.N%3) != key:
		case u.acked() && j.guaranteed(u):
			anew = anew || restamped(u)
			maybe = append(maybe, u.Step.N)
			if last == nil || last.session.Version.Before(u.session.Version) {
				last = u
			}
		case !u.done || !refused(u):
			maybe = append(maybe, u.Step.N)
		}
	}
	if last == nil {
		return
	}
	got := -1
	if raw, ok := e.session.Metadata.Raw(key); ok {
		_ = json.Unmarshal(raw, &got)
	}
	if !anew {
		maybe = slices.DeleteFunc(maybe, func(n int) bool {
			return n != last.Step.N && slices.ContainsFunc(x.updates, func(u *Event) bool { return u.Step.N == n && u.acked() && j.guaranteed(u) })
		})
	}
	if !slices.Contains(maybe, got) {
		j.breach(LostUpdate, e, "%s of %s is that of step %d; the last one acknowledged is of step %d", key, j.name(x.id), got, last.Step.N)
	}
}
