package local

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/perdure/perdure"
)

// A table finds what was added to it and not removed, and nothing else.
func TestTableAgainstAModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newTable()
		model := map[string]*entry{}
		id := rapid.StringMatching("[a-d]{1,4}")
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				id := id.Draw(t, "id")
				if model[id] == nil {
					model[id] = s.add(&perdure.Record{ID: id})
				}
			},
			"remove": func(t *rapid.T) {
				id := id.Draw(t, "id")
				if e := model[id]; e != nil {
					s.remove(e)
					delete(model, id)
				}
			},
			"find": func(t *rapid.T) {
				id := id.Draw(t, "id")
				if s.find(id) != model[id] {
					t.Fatalf("%s is %p, want %p", id, s.find(id), model[id])
				}
			},
			"": func(t *rapid.T) {
				for id, e := range model {
					if s.find(id) != e {
						t.Fatalf("%s is not found", id)
					}
				}
				if s.count != len(model) {
					t.Fatalf("%d entries, counted are %d", len(model), s.count)
				}
			},
		})
	})
}
