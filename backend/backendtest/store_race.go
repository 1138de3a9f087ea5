package backendtest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/perdure/perdure"
)

// Laws of a Store that many use at the same time.

func deleteBeatsRotation(r *rig) {
	s := r.stores(perdure.Options{})
	for range r.size(20) {
		session := s.login(perdure.Data{UserID: "u1"})
		r.parallel(3, func(i int) error {
			if i == 0 {
				_, err := s.one.Delete(r.ctx, session.ID)
				return err
			}
			_, err := s.store(i).Rotate(r.ctx, session.ID, 0)
			if errors.Is(err, perdure.ErrNotFound) {
				err = nil
			}
			return err
		})
		s.owned("u1")
	}
}

// disjointUpdatesAllSurvive has each writer change fields of its own in one
// session.
func disjointUpdatesAllSurvive(r *rig) {
	const writers = 6
	s := r.rivals(writers)
	session := s.login(perdure.Data{UserID: "u1"})
	each := r.size(10)
	r.parallel(writers, func(i int) error {
		for n := range each {
			value := fmt.Sprint(n)
			patch := perdure.Patch{Metadata: map[string]any{fmt.Sprintf("k%d.%d", i, n): value}}
			switch i {
			case 0:
				patch.Username = &value
			case 1:
				patch.Roles = []string{value}
			}
			if _, err := s.store(i).Update(r.ctx, session.ID, patch); err != nil {
				return err
			}
		}
		return nil
	})
	last := fmt.Sprint(each - 1)
	reader := r.stores(perdure.Options{}).two
	r.settlesOn(session.ID, func(perdure.Record) error {
		got, err := reader.Get(r.ctx, session.ID)
		if err != nil {
			return err
		}
		if got.Username != last || !slices.Equal(got.Roles, []string{last}) {
			return fmt.Errorf("an update is lost: username %q, roles %v; want %s", got.Username, got.Roles, last)
		}
		if n := got.Metadata.Len(); n != writers*each {
			return fmt.Errorf("%d of %d updates are lost", writers*each-n, writers*each)
		}
		return nil
	})
}

func oneExpectedVersionWins(r *rig) {
	const writers = 4
	s := r.rivals(writers)
	for range r.size(10) {
		session := s.login(perdure.Data{UserID: "u1"})
		var won atomic.Int64
		r.parallel(writers, func(i int) error {
			name := fmt.Sprint(i)
			_, err := s.store(i).Update(r.ctx, session.ID, perdure.Patch{Username: &name, Expected: session.Version})
			switch {
			case err == nil:
				won.Add(1)
			case errors.Is(err, perdure.ErrConflict):
				err = nil
			}
			return err
		})
		if won.Load() != 1 {
			r.t.Fatalf("%d updates of one expected version were made, want 1", won.Load())
		}
	}
}

// revokeUserMissesNoLogin: a login that was acknowledged before the revocation
// began is dead after it, and one that began after it lives.
func revokeUserMissesNoLogin(r *rig) {
	s := r.stores(perdure.Options{})
	for round := range r.size(6) {
		userID := fmt.Sprintf("user %d", round)
		var begun, over atomic.Bool
		var mu sync.Mutex
		var dead, alive []string
		for range 3 {
			dead = append(dead, s.login(perdure.Data{UserID: userID}).ID)
		}
		const creators = 4
		r.parallel(creators+1, func(i int) error {
			if i == creators {
				begun.Store(true)
				_, err := s.one.RevokeUser(r.ctx, userID)
				over.Store(true)
				return err
			}
			for range r.size(8) {
				after := over.Load()
				session, err := s.store(i).Create(r.ctx, perdure.Data{UserID: userID})
				if err != nil {
					return err
				}
				before := !begun.Load()
				mu.Lock()
				if before {
					dead = append(dead, session.ID)
				}
				if after {
					alive = append(alive, session.ID)
				}
				mu.Unlock()
			}
			return nil
		})
		last := s.login(perdure.Data{UserID: userID})
		r.shows(func() error {
			sessions, err := s.two.GetByUserID(r.ctx, userID)
			got := map[string]bool{}
			for _, session := range sessions {
				got[session.ID] = true
			}
			for _, id := range dead {
				if got[id] {
					return errors.New("a login from before the revocation lives")
				}
			}
			for _, id := range append(alive, last.ID) {
				if !got[id] {
					return errors.New("a login from after the revocation is dead")
				}
			}
			return err
		})
	}
}
