package local

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/perdure/perdure"
)

// A schedule gives exactly those whose time has come, whatever was entered,
// moved and taken out before.
func TestScheduleAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s schedule
		model := map[*entry]perdure.Millis{}
		var all []*entry
		one := func() *entry { return rapid.SampledFrom(all).Draw(t, "entry") }
		at := func() perdure.Millis { return perdure.Millis(rapid.IntRange(0, 50).Draw(t, "at")) }
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				e, when := &entry{}, at()
				s.add(e, when)
				model[e], all = when, append(all, e)
			},
			"advance": func(t *rapid.T) {
				if len(all) == 0 {
					t.Skip()
				}
				e, when := one(), at()
				s.advance(e, when)
				model[e] = min(model[e], when)
			},
			"postpone": func(t *rapid.T) {
				if len(all) == 0 {
					t.Skip()
				}
				e := one()
				when := model[e] + at()
				s.postpone(e, when)
				model[e] = when
			},
			"remove": func(t *rapid.T) {
				if len(all) == 0 {
					t.Skip()
				}
				e := one()
				s.remove(e)
				delete(model, e)
				for i := range all {
					if all[i] == e {
						all = append(all[:i], all[i+1:]...)
						break
					}
				}
			},
			"": func(t *rapid.T) {
				now := at()
				want := 0
				for _, when := range model {
					if when <= now {
						want++
					}
				}
				due := s.until(now, len(model)+1, 0, nil)
				if len(due) != want || len(s) != len(model) {
					t.Fatalf("%d of %d are due by %d, want %d of %d", len(due), len(s), now, want, len(model))
				}
				for _, e := range due {
					if model[e] > now || s[e.place].entry != e || s[e.place].at != model[e] {
						t.Fatalf("an entry of %d is due by %d", model[e], now)
					}
				}
				if limit := want / 2; len(s.until(now, limit, 0, nil)) != limit {
					t.Fatalf("not %d of %d", limit, want)
				}
			},
		})
	})
}
