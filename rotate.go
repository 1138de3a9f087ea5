package perdure

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Rotate gives the session a new id and ends the old one, in one atomic step:
// against session fixation, at every change of privilege. The session keeps its
// creation time and its horizon; with a ttl above zero it is extended to that
// long from now, or to its horizon. Where two rotate one session at the same
// time, one gets a *RotatedError.
func (s *Store) Rotate(ctx context.Context, id string, ttl time.Duration) (Session, error) {
	call := s.call(ActionRotate, Target{SessionID: id})
	call.event.Reason = ReasonRotated
	session, err := s.rotate(ctx, id, ttl)
	call.event.UserID = session.UserID
	return session, call.end(ctx, err)
}

func (s *Store) rotate(ctx context.Context, id string, ttl time.Duration) (Session, error) {
	if ttl < 0 {
		return Session{}, invalid("ttl", "is %v; it must not be negative", ttl)
	}
	stored, err := s.live(ctx, id)
	if err != nil {
		return Session{}, err
	}
	var epoch Version
	var minted []string // the ids of attempts of which the backend could not tell what became
	for range maxAttempts {
		successor, c, err := s.successor(ctx, &stored, ttl)
		if err != nil {
			return Session{}, err
		}
		tomb := entomb(stored, ReasonRotated, successor.Version)
		tomb.Body = encodeSuccessors(successor.ID)
		result, err := s.merger.applyOne(ctx, Batch{
			{Op: OpPut, Record: successor, Epoch: epoch, Reason: ReasonRotated},
			{Op: OpPut, Record: tomb, Base: stored.Version},
		})
		switch met := result.Stored; {
		case err != nil:
			return Session{}, err
		case result.Outcome == Conflict && result.Write == 0 && !met.Exists():
			minted = append(minted, successor.ID) // the backend wants another id
		case result.Outcome == Applied:
			return newSession(&successor, &c), nil
		case met.Kind == KindEpoch:
			dead, err := s.merger.killedBy(met, &stored)
			if err != nil {
				return Session{}, err
			}
			if dead {
				return Session{}, ErrNotFound
			}
			epoch = met.Version
		case met.ID == id && met.Live(s.clock.Now()):
			stored = met
		case met.ID == successor.ID && met.Live(s.clock.Now()):
			return newSession(&met, &c), nil // it had come, and the answer had not
		default:
			return s.rotated(ctx, met, minted)
		}
	}
	return Session{}, fmt.Errorf("%w: %d other writers came first", ErrUnavailable, maxAttempts)
}

// rotated is the successor that the tombstone names, if one of the ids was minted for it:
// the attempt had come, and the answer had not.
func (s *Store) rotated(ctx context.Context, tomb Record, minted []string) (Session, error) {
	if len(minted) == 0 || tomb.Reason != ReasonRotated {
		return Session{}, gone(&tomb)
	}
	ids, err := successors(tomb)
	if err != nil {
		return Session{}, err
	}
	for _, id := range ids {
		if slices.Contains(minted, id) {
			stored, err := s.live(ctx, id)
			if err != nil {
				return Session{}, err
			}
			return s.open(&stored)
		}
	}
	return Session{}, gone(&tomb)
}

// successor is the session under its new id.
func (s *Store) successor(ctx context.Context, stored *Record, ttl time.Duration) (Record, content, error) {
	c, err := openContent(stored, s.options.Codec)
	if err != nil {
		return Record{}, c, err
	}
	if err := s.allow(ctx, ActionRotate, Target{SessionID: stored.ID, UserID: c.userID}); err != nil {
		return Record{}, c, err
	}
	r := *stored
	r.ID, r.Parent = s.newID(PartitionOf(stored.ID)), stored.ID
	r.Version = s.clock.Tick(stored.Version)
	now := s.clock.Now()
	r.LastAccess = max(r.LastAccess, now)
	if ttl > 0 {
		r.Expiry = min(now+Millis(ttl.Milliseconds()), r.Horizon)
		r.setExpiry(r.Version)
		if r.Expiry <= now {
			return r, c, errPast(r.Expiry, now)
		}
	}
	r.Promised = max(stored.promise(), r.Expiry) // a copy of the session may become one of its successor
	c.descend(stored.ID)
	r.Body, err = seal(s.options.Codec, r, c.encode())
	return r, c, err
}
