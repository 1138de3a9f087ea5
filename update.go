package perdure

import (
	"context"
	"fmt"
	"slices"
)

// Update changes what the patch sets and returns the session as it is then. It
// costs a read, often from the near cache, and one round trip more for each
// writer that came first. It returns ErrNotFound, an ErrInvalid that names the
// field, or ErrConflict where Patch.Expected is set and not the version found. Where
// that cannot be decided, as in an outage, in which other processes may have accepted
// the same version, it returns ErrUnavailable.
func (s *Store) Update(ctx context.Context, id string, patch Patch) (Session, error) {
	call := s.call(ActionUpdate, Target{SessionID: id})
	session, err := s.update(ctx, id, &patch)
	call.event.UserID = session.UserID
	return session, call.end(ctx, err)
}

func (s *Store) update(ctx context.Context, id string, patch *Patch) (Session, error) {
	if err := patch.validate(); err != nil {
		return Session{}, err
	}
	metadata, err := newMetadata(patch.Metadata)
	if err != nil {
		return Session{}, err
	}
	stored, err := s.live(ctx, id)
	if err != nil {
		return Session{}, err
	}
	u := update{store: s, patch: patch, metadata: metadata}
	w := put{Write: Write{Op: OpPut, Base: stored.Version, Exact: !patch.Expected.IsZero()}, resolve: u.retry}
	if w.Record, err = u.apply(stored); err != nil {
		return Session{}, err
	}
	if err := s.allow(ctx, ActionUpdate, Target{SessionID: id, UserID: u.content.userID}); err != nil {
		return Session{}, err
	}
	if !patch.Expected.IsZero() && patch.Expected != stored.Version {
		// What was read may be behind another process. No record ever has this
		// base, so the put can only come back with what is really stored.
		w.Base = s.clock.Tick(stored.Version)
	}
	if s.merger.settle(ctx, &w); w.err != nil {
		return Session{}, w.err
	}
	return newSession(&w.Record, &u.content), nil
}

// update is a patch on its way into a session.
type update struct {
	store    *Store
	patch    *Patch
	metadata Metadata
	content  content // as the last apply left it
}

// retry applies the patch to what another writer stored first.
func (u *update) retry(stored Record) (Record, error) {
	if !stored.Live(u.store.clock.Now()) {
		return Record{}, gone(&stored)
	}
	if expected := u.patch.Expected; !expected.IsZero() && expected != stored.Version {
		return Record{}, fmt.Errorf("%w: version %s was expected and %s is stored", ErrConflict, expected, stored.Version)
	}
	return u.apply(stored)
}

func (u *update) apply(stored Record) (r Record, err error) {
	s := u.store
	if u.content, err = openContent(&stored, s.options.Codec); err != nil {
		return r, err
	}
	r = stored
	r.Version = s.clock.Tick(stored.Version)
	if !u.patch.ExpiresAt.IsZero() {
		now := s.clock.Now()
		if r.Expiry = min(MillisOf(u.patch.ExpiresAt), r.Horizon); r.Expiry <= now {
			return r, errPast(r.Expiry, now)
		}
		r.setExpiry(r.Version)
	}
	r.Promised = max(stored.promise(), r.Expiry)
	before := u.content.metadata
	u.content.apply(u.patch, u.metadata, r.Version)
	if u.metadata.packed != "" {
		if err := s.checkSize(&u.content, before.jsonSize()); err != nil {
			return r, err
		}
	}
	u.content.compact(s.options.MaxMetadata)
	u.content.roles = slices.Clone(u.content.roles)
	r.Body, err = seal(s.options.Codec, r, u.content.encode())
	return r, err
}

// Touch sets the session's last access to now: one round trip. It returns false
// where there is no live session; it never creates one and never moves the
// expiry.
func (s *Store) Touch(ctx context.Context, id string) (bool, error) {
	call := s.call(ActionTouch, Target{SessionID: id})
	touched, err := s.touch(ctx, id)
	if !touched {
		call.event.Count = 0
	}
	return touched, call.end(ctx, err)
}

func (s *Store) touch(ctx context.Context, id string) (bool, error) {
	if err := s.admit(ctx, ActionTouch, id); err != nil {
		return found(err)
	}
	result, err := s.merger.applyOne(ctx, Batch{{Op: OpTouch, Record: Record{ID: id, Header: Header{LastAccess: s.clock.Now()}}}})
	return result.Outcome == Applied, err
}

// admit checks an id and, where there is a Policy, asks it about the session.
func (s *Store) admit(ctx context.Context, action Action, id string) error {
	if s.options.Policy == nil {
		return CheckID(id)
	}
	_, err := s.get(ctx, action, id)
	return err
}
