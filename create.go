package perdure

import (
	"context"
	"fmt"
	"time"
)

// Create makes a new session: one round trip. It returns an ErrInvalid that
// names the field, or ErrExists where Data.ID is taken.
func (s *Store) Create(ctx context.Context, data Data) (Session, error) {
	call := s.call(ActionCreate, Target{SessionID: data.ID, UserID: data.UserID})
	session, err := s.create(ctx, &data)
	call.event.SessionID = session.ID
	return session, call.end(ctx, err)
}

func (s *Store) create(ctx context.Context, data *Data) (Session, error) {
	if err := data.validate(); err != nil {
		return Session{}, err
	}
	if err := s.allow(ctx, ActionCreate, Target{SessionID: data.ID, UserID: data.UserID}); err != nil {
		return Session{}, err
	}
	expiry, life, err := s.expiry(data.TTL, data.ExpiresAt)
	if err != nil {
		return Session{}, err
	}
	c, body, err := s.newContent(data)
	if err != nil {
		return Session{}, err
	}
	user := s.options.Codec.UserKey(data.UserID)
	batch := Batch{{Op: OpPut, Chosen: data.ID != "", Record: Record{ID: data.ID, Header: Header{
		Kind: KindSession, Expiry: expiry, Idle: Millis(s.options.IdleTimeout.Milliseconds()), User: user,
	}}}}
	r := &batch[0].Record
	if r.ID == "" {
		r.ID = s.newID(user.Partition())
	}
	if err := s.insert(ctx, batch, body, life); err != nil {
		return Session{}, err
	}
	return newSession(r, &c), nil
}

// insert gives the record of the batch its birth and puts it. An epoch in its way came from
// a clock ahead of ours: the session is born after it. A backend that does not
// want the id that was minted gets another; one that was chosen stays. A life
// above zero begins with the birth, or now: versions may be ahead of the clock.
func (s *Store) insert(ctx context.Context, batch Batch, body string, life Millis) (err error) {
	var epoch Version
	r := &batch[0].Record
	for range maxAttempts {
		r.Born = s.clock.Tick(epoch)
		r.Version, r.LastAccess = r.Born, min(r.Born.Millis(), s.clock.Now())
		if life > 0 {
			r.Expiry = r.LastAccess + life
		}
		r.Promised = r.Expiry
		r.Horizon = max(r.Expiry, r.LastAccess+Millis(s.options.Horizon.Milliseconds()))
		if r.Body, err = seal(s.options.Codec, *r, body); err != nil {
			return err
		}
		result, err := s.merger.applyOne(ctx, batch)
		switch {
		case err != nil:
			return err
		case result.Outcome == Applied:
			return nil
		case result.Stored.ID == r.ID && result.Stored.Kind == KindSession && result.Stored.Born == r.Born:
			return nil // it had come, and the answer had not
		case result.Stored.Kind != KindEpoch && !batch[0].Chosen:
			// The backend wants another id; or the session had come, and was ended
			// before the answer could be asked for again: then it was another login.
			r.ID = s.newID(r.User.Partition())
			continue
		case result.Stored.Kind != KindEpoch:
			return fmt.Errorf("%w: %s", ErrExists, r.ID)
		}
		epoch = result.Stored.Version
	}
	return fmt.Errorf("%w: the user's sessions are being revoked faster than one can be created", ErrUnavailable)
}

// newID mints an id, as the backend wants it.
func (s *Store) newID(partition int) string {
	if minter, ok := s.backend.(Minter); ok {
		return minter.MintID(partition)
	}
	return NewID(partition)
}

// expiry is the end of a new session, and its length where that was given.
func (s *Store) expiry(ttl time.Duration, at time.Time) (expiry, life Millis, err error) {
	now := s.clock.Now()
	if ttl == 0 {
		ttl = s.options.TTL
	}
	life = Millis(ttl.Milliseconds())
	expiry = now + life
	if !at.IsZero() {
		expiry, life = MillisOf(at), 0
	}
	switch {
	case expiry <= now:
		return 0, 0, errPast(expiry, now)
	case expiry > now+Millis(s.options.MaxTTL.Milliseconds()):
		return 0, 0, invalid("expiresAt", "is more than %v from now, the longest life allowed", s.options.MaxTTL)
	}
	return expiry, life, nil
}

func errPast(expiry, now Millis) error {
	return invalid("expiresAt", "is %s, which is not after now (%s)", expiry.Time().Format(time.RFC3339Nano), now.Time().Format(time.RFC3339Nano))
}

// newContent is a new session's content, and its body, whose memory it shares: the
// one string of that size that a creation makes.
func (s *Store) newContent(data *Data) (c content, body string, err error) {
	var room [1 << 10]byte
	packed, err := appendMetadata(room[:0], data.Metadata)
	if err != nil {
		return c, "", err
	}
	var place [1 << 10]byte
	body = string(appendFields(place[:0], data.UserID, data.Username, data.Roles, packed))
	if _, err = c.decodeFields(body); err != nil {
		return c, "", err
	}
	return c, body, s.checkSize(&c, 0)
}

// checkSize returns an ErrInvalid where the metadata is out of bounds, and larger than
// it was before: what makes it no larger passes.
func (s *Store) checkSize(c *content, before int) error {
	if size := c.metadata.jsonSize(); size > max(s.options.MaxMetadata, before) {
		return invalid("metadata", "has %d bytes; at most %d are allowed", size, s.options.MaxMetadata)
	}
	return nil
}
