package backendtest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/perdure/perdure"
)

// storeLaws are what a session's owner is promised: laws of a Store that only
// hold where the backend under it keeps its own.
func storeLaws() []law {
	return []law{
		{"DeleteIsForEver", deleteIsForEver, nil},
		{"DeleteEndsWhatItWasRotatedTo", deleteEndsWhatItWasRotatedTo, nil},
		{"RotationCarriesOn", rotationCarriesOn, nil},
		{"RotationKeepsWhatComesLater", rotationKeepsWhatComesLater, nil},
		{"RevokeUserKillsWhatComesLater", revokeUserKillsWhatComesLater, nil},
		{"ExpiredIsNeverReturned", expiredIsNeverReturned, needsClock},
		{"IdleIsNeverReturned", idleIsNeverReturned, needsClock},
		{"ClockStepsLockNobodyOut", clockStepsLockNobodyOut, needsClock},
		{"WatchTellsWhatHappened", watchTellsWhatHappened, nil},
		{"TheLargestSessionFits", theLargestSessionFits, nil},
		{"DeleteBeatsRotation", deleteBeatsRotation, nil},
		{"DisjointUpdatesAllSurvive", disjointUpdatesAllSurvive, nil},
		{"OneExpectedVersionWins", oneExpectedVersionWins, nil},
		{"RevokeUserMissesNoLogin", revokeUserMissesNoLogin, nil},
		{"UserIDsAreOpaque", userIDsAreOpaque, nil},
		{"HostileInputIsRefused", hostileInputIsRefused, nil},
		{"ForeignIDsAreIDs", foreignIDsAreIDs, nil},
	}
}

// bench is two Stores over a rig's backends.
type bench struct {
	*rig
	one, two *perdure.Store
}

func (r *rig) stores(o perdure.Options) *bench {
	r.t.Helper()
	o.Now, o.SweepInterval = r.wall.read, -1
	one, err := perdure.New(r.a, o)
	r.noError(err)
	two, err := perdure.New(r.b, o)
	r.noError(err)
	return &bench{rig: r, one: one, two: two}
}

func (s *bench) store(i int) *perdure.Store {
	if i%2 == 0 {
		return s.one
	}
	return s.two
}

func (s *bench) login(data perdure.Data) perdure.Session {
	s.t.Helper()
	session, err := s.one.Create(s.ctx, data)
	s.noError(err)
	return session
}

// gone fails unless no store returns the session or does anything to it.
func (s *bench) gone(id string) {
	s.t.Helper()
	check := func() error {
		return errors.Join(isGone(s.rig, s.one, id), isGone(s.rig, s.two, id))
	}
	s.shows(check)
	for i := range 2 {
		store := s.store(i)
		name := "gone"
		_, err := store.Update(s.ctx, id, perdure.Patch{Username: &name})
		s.wantError("Update of a session that is gone", err, perdure.ErrNotFound)
		_, err = store.Rotate(s.ctx, id, 0)
		s.wantError("Rotate of a session that is gone", err, perdure.ErrNotFound)
		if ok, err := store.Touch(s.ctx, id); ok || err != nil {
			s.t.Fatalf("Touch of a session that is gone returned %v and the error %v", ok, err)
		}
		if ok, err := store.Delete(s.ctx, id); ok || err != nil {
			s.t.Fatalf("Delete of a session that is gone returned %v and the error %v", ok, err)
		}
	}
	s.noError(check())
}

// isGone returns an error unless no way to read finds the session.
func isGone(r *rig, store *perdure.Store, id string) error {
	if _, err := store.Get(r.ctx, id); !errors.Is(err, perdure.ErrNotFound) {
		return fmt.Errorf("a session that is gone: Get returned the error %v", err)
	}
	if ok, err := store.Exists(r.ctx, id); ok || err != nil {
		return fmt.Errorf("a session that is gone: Exists returned %v and the error %v", ok, err)
	}
	sessions, missing, err := store.GetMany(r.ctx, []string{id})
	if len(sessions) > 0 || len(missing) != 1 || err != nil {
		return fmt.Errorf("a session that is gone: GetMany returned %d sessions and the error %v", len(sessions), err)
	}
	for query := (perdure.ListQuery{}); ; {
		page, err := store.List(r.ctx, query)
		if err != nil {
			return err
		}
		for _, session := range page.Sessions {
			if session.ID == id {
				return fmt.Errorf("a session that is gone is in List")
			}
		}
		if query.PageToken = page.NextPageToken; query.PageToken == "" {
			return nil
		}
	}
}

// owned fails unless the user has exactly these sessions.
func (s *bench) owned(userID string, want ...string) {
	s.t.Helper()
	s.shows(func() error {
		sessions, err := s.two.GetByUserID(s.ctx, userID)
		if err != nil {
			return err
		}
		var got []string
		for _, session := range sessions {
			got = append(got, session.ID)
			if session.UserID != userID {
				return fmt.Errorf("the sessions of %q show one of %q", userID, session.UserID)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			return fmt.Errorf("the user %q has the sessions %v, want %v", clip(userID), got, want)
		}
		return nil
	})
}

// deleteIsForEver replays, merges and creates anew what was deleted.
func deleteIsForEver(r *rig) {
	s := r.stores(perdure.Options{})
	merger := &perdure.Merger{Backend: r.b, Clock: r.clock}
	for _, id := range []string{"", r.alien("")} {
		session := s.login(perdure.Data{ID: id, UserID: "u1"})
		first := r.stored(session.ID)
		name := "changed"
		_, err := s.one.Update(r.ctx, session.ID, perdure.Patch{Username: &name})
		r.noError(err)
		second := r.stored(session.ID)
		if ok, err := s.two.Delete(r.ctx, session.ID); !ok || err != nil {
			r.t.Fatalf("Delete returned %v and the error %v", ok, err)
		}
		s.gone(session.ID)
		for _, replay := range []perdure.Record{first, second} {
			replay.Expiry = replay.Horizon // extended where the logout was not seen
			replay.LastAccess += 1000
			merged, err := merger.Merge(r.ctx, replay)
			r.noError(err)
			if !merged.Killed {
				r.t.Fatalf("a deleted session was merged in as %s", show(merged.Record))
			}
			s.gone(session.ID)
		}
		_, err = s.one.Create(r.ctx, perdure.Data{ID: session.ID, UserID: "u1"})
		r.wantError("Create with the id of a deleted session", err, perdure.ErrExists)
		s.gone(session.ID)
	}
	s.owned("u1")
}

// deleteEndsWhatItWasRotatedTo: a logout by an old id, and a rotation that
// arrives after the logout of the session it replaced.
func deleteEndsWhatItWasRotatedTo(r *rig) {
	s := r.stores(perdure.Options{})
	merger := &perdure.Merger{Backend: r.b, Clock: r.clock}
	first := s.login(perdure.Data{UserID: "u1"})
	second, err := s.two.Rotate(r.ctx, first.ID, 0)
	r.noError(err)
	third, err := s.one.Rotate(r.ctx, second.ID, 0)
	r.noError(err)
	s.owned("u1", third.ID)
	if ok, err := s.two.Delete(r.ctx, first.ID); !ok || err != nil {
		r.t.Fatalf("Delete by the id before two rotations returned %v and the error %v", ok, err)
	}
	for _, id := range []string{first.ID, second.ID, third.ID} {
		s.gone(id)
	}

	parent := s.login(perdure.Data{UserID: "u1"})
	child := r.childOf(r.stored(parent.ID)) // rotated elsewhere, in an outage
	child.Body = r.stored(parent.ID).Body
	_, err = s.one.Delete(r.ctx, parent.ID)
	r.noError(err)
	merged, err := merger.Merge(r.ctx, child)
	r.noError(err)
	if !merged.Killed {
		r.t.Fatalf("the successor of a session that was logged out was merged in as %s", show(merged.Record))
	}
	s.gone(child.ID)
	s.owned("u1")
}

// revokeUserKillsWhatComesLater: sessions that were elsewhere when their user
// was revoked die when they come, but for those that were spared.
func revokeUserKillsWhatComesLater(r *rig) {
	s := r.stores(perdure.Options{})
	merger := &perdure.Merger{Backend: r.b, Clock: r.clock}
	spared := s.login(perdure.Data{UserID: "u1"})
	here := s.login(perdure.Data{UserID: "u1"})
	away := r.stored(here.ID) // the same as a session that is only elsewhere
	away.ID, away.Born = r.id(away.User), r.version()
	away.Version = away.Born
	if n, err := s.one.RevokeUser(r.ctx, "u1", spared.ID); n != 1 || err != nil {
		r.t.Fatalf("RevokeUser ended %d sessions with the error %v, want 1", n, err)
	}
	s.gone(here.ID)
	merged, err := merger.Merge(r.ctx, away)
	r.noError(err)
	if !merged.Killed {
		r.t.Fatalf("a session from before the revocation was merged in as %s", show(merged.Record))
	}
	s.gone(away.ID)
	s.owned("u1", spared.ID)
	rotated, err := s.two.Rotate(r.ctx, spared.ID, 0) // born before the epoch that spares it
	r.noError(err)
	later := s.login(perdure.Data{UserID: "u1"})
	s.owned("u1", rotated.ID, later.ID)
}

func watchTellsWhatHappened(r *rig) {
	s := r.stores(perdure.Options{})
	cursor := r.watch(r.b).next
	first := s.login(perdure.Data{UserID: "u1"})
	name := "name"
	_, err := s.two.Update(r.ctx, first.ID, perdure.Patch{Username: &name})
	r.noError(err)
	second, err := s.one.Rotate(r.ctx, first.ID, 0)
	r.noError(err)
	_, err = s.two.Revoke(r.ctx, second.ID)
	r.noError(err)
	third := s.login(perdure.Data{UserID: "u1"})
	_, err = s.one.RevokeUser(r.ctx, "u1")
	r.noError(err)
	want := map[string][]string{
		first.ID:  {"created ", "updated ", "deleted rotated"},
		second.ID: {"created rotated", "deleted revoked"},
		third.ID:  {"created ", "deleted user_revoked"},
	}
	got, told := map[string][]string{}, 0
	for batch, err := range s.two.Watch(r.ctx, cursor) {
		r.noError(err)
		for _, c := range batch.Changes {
			got[c.ID] = append(got[c.ID], c.Kind.String()+" "+c.Reason.String())
			told++
		}
		if told >= 7 {
			break
		}
	}
	if !maps.EqualFunc(got, want, slices.Equal) {
		r.t.Fatalf("Watch tells of\n  %v\nwant\n  %v", got, want)
	}
}

func theLargestSessionFits(r *rig) {
	s := r.stores(perdure.Options{})
	long := func(n int) string { return fmt.Sprintf("%0*d", n, 7) }
	data := perdure.Data{UserID: long(256), Username: long(256), Metadata: map[string]any{}}
	for i := range 64 {
		data.Roles = append(data.Roles, fmt.Sprintf("%0128d", i))
		data.Metadata[fmt.Sprintf("key%d", i)] = long(950)
	}
	session := s.login(data)
	got, err := s.two.Get(r.ctx, session.ID)
	r.noError(err)
	if got.UserID != data.UserID || got.Username != data.Username || !slices.Equal(got.Roles, data.Roles) || got.Metadata != session.Metadata || got.Version != session.Version {
		r.t.Fatalf("the largest session came back otherwise")
	}
	many, _, err := s.two.GetMany(r.ctx, []string{session.ID, session.ID})
	r.noError(err)
	if len(many) != 1 || many[0].Metadata != session.Metadata {
		r.t.Fatalf("GetMany of the largest session returned %d sessions", len(many))
	}
	s.owned(data.UserID, session.ID)
	if keys := slices.Collect(maps.Keys(data.Metadata)); got.Metadata.Len() != len(keys) {
		r.t.Fatalf("%d of %d metadata keys came back", got.Metadata.Len(), len(keys))
	}
}

// expiredIsNeverReturned stands on the boundary: a session that expires now has
// expired.
func expiredIsNeverReturned(r *rig) {
	s := r.stores(perdure.Options{})
	session := s.login(perdure.Data{UserID: "u1", TTL: 10 * time.Second})
	r.wall.step(10*time.Second - time.Millisecond)
	if ok, err := s.two.Touch(r.ctx, session.ID); !ok || err != nil {
		r.t.Fatalf("Touch just before the expiry returned %v and the error %v", ok, err)
	}
	s.owned("u1", session.ID)
	r.wall.step(time.Millisecond)
	s.noError(isGone(r, s.one, session.ID))
	s.owned("u1")
	_, err := s.one.Update(r.ctx, session.ID, perdure.Patch{ExpiresAt: r.wall.read().Add(hour)})
	r.wantError("Update of an expired session", err, perdure.ErrNotFound)
	total := 0
	for i := range 4 {
		n, err := s.store(i).DeleteExpired(r.ctx)
		r.noError(err)
		total += n
	}
	if total != 1 {
		r.t.Fatalf("DeleteExpired found %d sessions, want 1", total)
	}
	s.gone(session.ID)
}

func idleIsNeverReturned(r *rig) {
	s := r.stores(perdure.Options{IdleTimeout: 5 * time.Second})
	session := s.login(perdure.Data{UserID: "u1"})
	for range 3 {
		r.wall.step(4 * time.Second)
		if ok, err := s.one.Touch(r.ctx, session.ID); !ok || err != nil {
			r.t.Fatalf("Touch within the idle timeout returned %v and the error %v", ok, err)
		}
		n, err := s.two.DeleteExpired(r.ctx)
		r.noError(err)
		if n != 0 {
			r.t.Fatalf("the sweep took a session that is in use")
		}
	}
	r.wall.step(5 * time.Second)
	s.noError(isGone(r, s.one, session.ID))
	s.owned("u1")
	s.gone(session.ID)
}

// clockStepsLockNobodyOut: small steps back, as time servers make them, change
// nothing; a large one still lets everybody read and log out.
func clockStepsLockNobodyOut(r *rig) {
	s := r.stores(perdure.Options{})
	session := s.login(perdure.Data{UserID: "u1"})
	for i, step := range []time.Duration{r.cfg.MaxClockSkew / 2, -r.cfg.MaxClockSkew / 2, hour, -r.cfg.MaxClockSkew / 3} {
		r.wall.step(step)
		name := fmt.Sprint(i)
		changed, err := s.store(i).Update(r.ctx, session.ID, perdure.Patch{Username: &name})
		r.noError(err)
		if !session.Version.Before(changed.Version) || changed.LastAccessedAt.Before(session.LastAccessedAt) {
			r.t.Fatalf("after a step of %v an update went back:\n  %+v\n  %+v", step, session, changed)
		}
		ok, err := s.store(i+1).Touch(r.ctx, session.ID)
		r.noError(err)
		if session, err = s.one.Get(r.ctx, session.ID); err != nil || session.Username != name || !ok {
			r.t.Fatalf("after a step of %v: %+v, touched %v, error %v", step, session, ok, err)
		}
	}
	r.wall.step(-2 * hour)
	if ok, err := s.one.Touch(r.ctx, session.ID); !ok || err != nil {
		r.t.Fatalf("Touch after a large step back returned %v and the error %v", ok, err)
	}
	s.owned("u1", session.ID)
	if ok, err := s.two.Delete(r.ctx, session.ID); !ok || err != nil {
		r.t.Fatalf("Delete after a large step back returned %v and the error %v", ok, err)
	}
	s.noError(isGone(r, s.two, session.ID))
	s.owned("u1")
	s.login(perdure.Data{UserID: "u1"})
	if n, err := s.two.RevokeUser(r.ctx, "u1"); n != 1 || err != nil {
		r.t.Fatalf("RevokeUser after a large step back returned %d and the error %v", n, err)
	}
	s.owned("u1")
}
