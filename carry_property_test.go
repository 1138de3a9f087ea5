package perdure_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"pgregory.net/rapid"
)

// written is the latest change of a key, on whatever side it was made.
type written struct {
	version perdure.Version
	value   int
}

// divided is a session on the sides of a partition: all change it, under the id
// that they know, one or two also rotate it, and any may log it out.
type divided struct {
	sides   []*side
	ids     []string // as each side knows it; empty where it has logged it out
	records []perdure.Record
	writes  map[string]written
	access  time.Time
	both    bool // the second rotates it too
	ended   bool
	values  int
}

func (d *divided) step(t *testing.T, rt *rapid.T) {
	i := rapid.IntRange(0, len(d.sides)-1).Draw(rt, "side")
	s, id := d.sides[i], d.ids[i]
	s.clock.now = s.clock.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(rt, "pause")) * time.Second)
	if id == "" {
		return
	}
	switch step := rapid.IntRange(0, 20).Draw(rt, "step"); {
	case step == 0:
		must[bool](t)(s.Delete(t.Context(), id))
		d.ids[i], d.ended = "", true
	case step < 6 && (i == 0 || i == 1 && d.both):
		rotated := must[perdure.Session](t)(s.Rotate(t.Context(), id, 0))
		d.ids[i], d.access = rotated.ID, later(d.access, rotated.LastAccessedAt)
	case step < 9:
		must[bool](t)(s.Touch(t.Context(), id))
		d.access = later(d.access, s.clock.now)
	case step < 12: // as a backup would
		d.records = append(d.records, s.records(t)...)
	default:
		d.values++
		key := fmt.Sprint("k", rapid.IntRange(0, 4).Draw(rt, "key"))
		got := must[perdure.Session](t)(s.Update(t.Context(), id, perdure.Patch{Metadata: map[string]any{key: d.values}}))
		if d.writes[key].version.Before(got.Version) {
			d.writes[key] = written{got.Version, d.values}
		}
	}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// heal merges all that there is, in a random order and in pages of a random size.
func (d *divided) heal(t *testing.T, rt *rapid.T) *side {
	healed := newSide(t)
	for _, s := range d.sides {
		healed.clock.now = later(healed.clock.now, s.clock.now)
	}
	for left := rapid.Permutation(d.records).Draw(rt, "order"); len(left) > 0; {
		n := rapid.IntRange(1, len(left)).Draw(rt, "page")
		for _, merged := range healed.merger.MergeAll(t.Context(), left[:n]) {
			if merged.Err != nil {
				rt.Fatal(merged.Err)
			}
		}
		left = left[n:]
	}
	return healed
}

// said is what the records of a store say, the dead by no more than that.
func (s *side) said(t *testing.T) map[string]perdure.Record {
	said := map[string]perdure.Record{}
	for _, r := range s.records(t) {
		if r.Version = (perdure.Version{}); r.Kind == perdure.KindTombstone {
			r = perdure.Record{ID: r.ID, Header: perdure.Header{Kind: r.Kind}}
		}
		said[r.ID] = r
	}
	return said
}

// checkBoth: where two sides rotate, what each wrote before it did is with its own
// successor, and every change is with one of them.
func (d *divided) checkBoth(t *testing.T, rt *rapid.T, sessions []perdure.Session) {
	if d.ended {
		return // of one successor perhaps
	}
	for key, w := range d.writes {
		if !slices.ContainsFunc(sessions, func(s perdure.Session) bool {
			raw, _ := s.Metadata.Raw(key)
			return string(raw) == fmt.Sprint(w.value)
		}) {
			rt.Fatalf("%s=%d is lost: %s", key, w.value, asJSON(t, sessions))
		}
	}
}

// TestMergesOfADividedSession: whatever the sides of a partition did to a session,
// and in whatever order that comes together, it comes to the same, every change is
// there, and who was logged out is dead.
func TestMergesOfADividedSession(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		a, b, id := partition(t, perdure.Data{UserID: "u"})
		c := newSide(t)
		c.clock.now = b.clock.now
		c.merge(t, b.records(t)...)
		d := &divided{sides: []*side{a, b, c}, ids: []string{id, id, id}, writes: map[string]written{}, access: a.clock.now.Add(-2 * time.Second), both: rapid.Bool().Draw(rt, "both")}
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			d.step(t, rt)
		}
		for _, s := range d.sides {
			d.records = append(d.records, s.records(t)...)
		}
		one, other := d.heal(t, rt), d.heal(t, rt)
		sessions := must[perdure.SessionPage](t)(one.List(t.Context(), perdure.ListQuery{})).Sessions
		if d.both {
			d.checkBoth(t, rt, sessions)
			return
		}
		if x, y := asJSON(t, one.said(t)), asJSON(t, other.said(t)); x != y {
			rt.Fatalf("in one order\n%s\nin another\n%s", x, y)
		}
		if d.ended {
			if len(sessions) > 0 {
				rt.Fatalf("a logout left %s", asJSON(t, sessions))
			}
			return
		}
		if len(sessions) != 1 || sessions[0].ID != d.ids[0] {
			rt.Fatalf("%s is to live, and there are %s", d.ids[0], asJSON(t, sessions))
		}
		want := map[string]int{}
		for key, w := range d.writes {
			want[key] = w.value
		}
		if got := sessions[0]; asJSON(t, got.Metadata) != asJSON(t, want) || !got.LastAccessedAt.Equal(d.access) {
			rt.Fatalf("got %s, want %s and last access %v", asJSON(t, got), asJSON(t, want), d.access)
		}
	})
}
