package backendtest

import "github.com/perdure/perdure"

// rotationKeepsWhatComesLater: what was changed elsewhere, under the id that a
// session had before its rotations, reaches the living end of them, and revives
// nobody who was logged out.
func rotationKeepsWhatComesLater(r *rig) {
	s := r.stores(perdure.Options{})
	merger := &perdure.Merger{Backend: r.b, Clock: r.clock}
	for _, id := range []string{"", r.alien("")} {
		old := s.login(perdure.Data{ID: id, UserID: "u1", Username: "early", Roles: []string{"kept"}})
		changed := s.login(perdure.Data{UserID: "u1", Username: "late", Roles: []string{"kept"}, Metadata: map[string]any{"k": 1}})
		elsewhere := r.stored(changed.ID) // the same as the session that was changed elsewhere
		elsewhere.ID = old.ID
		elsewhere.LastAccess = r.stored(old.ID).LastAccess + 1000
		if ok, err := s.one.Delete(r.ctx, changed.ID); !ok || err != nil {
			r.t.Fatalf("Delete returned %v and the error %v", ok, err)
		}
		second, err := s.two.Rotate(r.ctx, old.ID, 0)
		r.noError(err)
		third, err := s.one.Rotate(r.ctx, second.ID, 0)
		r.noError(err)
		for range 2 {
			merged, err := merger.Merge(r.ctx, elsewhere)
			r.noError(err)
			if !merged.Killed {
				r.t.Fatalf("a session that was rotated was merged in as %s", show(merged.Record))
			}
			s.replaced(old.ID)
			s.replaced(second.ID)
			s.owned("u1", third.ID)
			got, err := s.two.Get(r.ctx, third.ID)
			r.noError(err)
			if metadata, err := got.Metadata.MarshalJSON(); err != nil || got.Username != "late" || string(metadata) != `{"k":1}` || r.stored(third.ID).LastAccess < elsewhere.LastAccess {
				r.t.Fatalf("after a change elsewhere the successor is\n  %+v\nwith %s", got, metadata)
			}
		}
		if ok, err := s.two.Delete(r.ctx, third.ID); !ok || err != nil {
			r.t.Fatalf("Delete returned %v and the error %v", ok, err)
		}
		elsewhere.LastAccess += 1000
		_, err = merger.Merge(r.ctx, elsewhere)
		r.noError(err)
		s.gone(third.ID)
		s.owned("u1")
	}
}

func rotationCarriesOn(r *rig) {
	s := r.stores(perdure.Options{})
	old := s.login(perdure.Data{UserID: "u1", Username: "name", Roles: []string{"a", "b"}, Metadata: map[string]any{"k": 1}})
	for range 3 {
		next, err := s.two.Rotate(r.ctx, old.ID, 0)
		r.noError(err)
		if next.ID == old.ID || next.Username != "name" || len(next.Roles) != 2 || next.Metadata != old.Metadata || !next.CreatedAt.Equal(old.CreatedAt) || !next.ExpiresAt.Equal(old.ExpiresAt) {
			r.t.Fatalf("a rotation made\n  %+v of\n  %+v", next, old)
		}
		s.replaced(old.ID)
		s.owned("u1", next.ID)
		old = next
	}
}

// replaced is what is left of gone for an id that was rotated: to delete it would
// end its successor.
func (s *bench) replaced(id string) {
	s.t.Helper()
	s.noError(isGone(s.rig, s.two, id))
	if ok, err := s.one.Touch(s.ctx, id); ok || err != nil {
		s.t.Fatalf("Touch of an id that was rotated returned %v and the error %v", ok, err)
	}
	_, err := s.one.Rotate(s.ctx, id, 0)
	s.wantError("Rotate of an id that was rotated", err, perdure.ErrNotFound)
}
