package perdure

import (
	"context"
	"time"
)

// Delete logs the session out for ever: one round trip. Where the id was rotated
// its successor is ended too. It returns whether a live session was ended.
func (s *Store) Delete(ctx context.Context, id string) (bool, error) {
	return s.remove(ctx, ActionDelete, id, ReasonLogout)
}

// Revoke is Delete by an operator: it differs in the reason given.
func (s *Store) Revoke(ctx context.Context, id string) (bool, error) {
	return s.remove(ctx, ActionRevoke, id, ReasonRevoked)
}

func (s *Store) remove(ctx context.Context, action Action, id string, reason Reason) (bool, error) {
	call := s.call(action, Target{SessionID: id})
	call.event.Reason = reason
	ended, err := s.end(ctx, action, id, reason)
	call.event.Count = ended
	return ended > 0, call.end(ctx, err)
}

func (s *Store) end(ctx context.Context, action Action, id string, reason Reason) (int, error) {
	if err := s.admit(ctx, action, id); err != nil {
		_, err = found(err)
		return 0, err
	}
	now := s.clock.Now()
	tomb := Record{ID: id, Header: Header{Kind: KindTombstone, Reason: reason, Version: s.clock.Tick()}}
	_, coming := OutageTime(id) // it may still be in the journal of a process that is cut off
	if coming {
		tomb.Horizon = s.furthest(now)
	}
	session, ended, err := s.merger.end(ctx, Write{Op: OpRemove, Record: tomb, Plant: coming})
	if session.Exists() && !session.Live(now) {
		ended = 0 // it had expired, and only waited for the sweep
	}
	return ended, err
}

// RevokeUser ends all sessions of the user but those with the given ids, at
// once, and whatever session of the user, created before now, turns up later
// from elsewhere. A session created after it returns lives. It returns how many
// live sessions it ended. With an *UnreadableError all were ended but those that
// it names, which cannot be read and may live.
func (s *Store) RevokeUser(ctx context.Context, userID string, exceptIDs ...string) (int, error) {
	call := s.call(ActionRevokeUser, Target{UserID: userID})
	call.event.Reason = ReasonUserRevoked
	n, err := s.revokeUser(ctx, userID, exceptIDs)
	call.event.Count = n
	return n, call.end(ctx, err)
}

// maxExcept bounds how many sessions a revocation can spare.
const maxExcept = 64

func (s *Store) revokeUser(ctx context.Context, userID string, exceptIDs []string) (n int, err error) {
	if err := checkUserID(userID); err != nil {
		return 0, err
	}
	if len(exceptIDs) > maxExcept {
		return 0, invalid("exceptIds", "has %d entries; at most %d are allowed", len(exceptIDs), maxExcept)
	}
	for _, id := range exceptIDs {
		if err := CheckID(id); err != nil {
			return 0, err
		}
	}
	if err := s.allow(ctx, ActionRevokeUser, Target{UserID: userID}); err != nil {
		return 0, err
	}
	now := s.clock.Now()
	ended, err := s.merger.revoke(ctx, s.options.Codec.UserKey(userID), exceptIDs, s.furthest(now), ReasonUserRevoked)
	for _, session := range ended {
		if session.Live(now) {
			n++
		}
	}
	return n, err
}

// furthest is until when a session may live that exists now, and is not known here. It
// can be extended to its horizon, which may be beyond MaxTTL.
func (s *Store) furthest(now Millis) Millis {
	return now + Millis(max(s.options.MaxTTL, s.options.Horizon).Milliseconds())
}

const sweepBatch = 1000

// DeleteExpired sweeps expired sessions from the backend now, and returns how
// many it found. Expired sessions are never returned, swept or not.
func (s *Store) DeleteExpired(ctx context.Context) (int, error) {
	call := s.call(ActionDeleteExpired, Target{})
	n, err := s.sweep(ctx)
	call.event.Count = n
	return n, call.end(ctx, err)
}

func (s *Store) sweep(ctx context.Context) (total int, err error) {
	for more := true; more && err == nil; {
		var n int
		n, more, err = s.backend.Sweep(ctx, s.clock.Now(), sweepBatch)
		total += n
	}
	return total, err
}

func (s *Store) sweepEvery(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if _, err := s.sweep(ctx); err != nil && ctx.Err() == nil {
			s.options.Logger.Warn("sweep of expired sessions failed; it will be tried again", "in", interval, "error", err)
		}
	}
}
