package perdure

import (
	"errors"
	"fmt"
	"time"
)

// The errors that a caller acts on. Test for them with errors.Is; every error
// of this module wraps one of them, context.Canceled, or a fault of the caller's
// own code.
var (
	// ErrNotFound: no live session has this id. It never existed, it was
	// deleted, or it has expired; the three are not told apart. Where it lives on
	// under another id, the error is a *RotatedError.
	ErrNotFound = errors.New("session not found")

	// ErrConflict: the session's version is not the one that the caller
	// expected. Read it again and decide.
	ErrConflict = errors.New("session was changed by another writer")

	// ErrInvalid: the input breaks a rule. The error is an *InvalidError that
	// names the field and the limit; nothing was changed.
	ErrInvalid = errors.New("invalid input")

	// ErrExists: the id of a new session is taken, by a live session or by the
	// tombstone of a deleted one.
	ErrExists = errors.New("session id is taken")

	// ErrUnavailable: the store cannot answer now. It is never a statement about
	// the session: nobody may be logged out because of it. A write that ends so
	// may or may not have been applied; repeating it is safe. Of a read of many it may
	// be an *UnansweredError, beside what could be answered.
	ErrUnavailable = errors.New("session store is unavailable")

	// ErrListExpired: the list cannot go on after this cursor or page token, now or
	// later: the store went away or came back since it was begun, or another has taken
	// its place. Begin the list anew, without one.
	ErrListExpired = errors.New("the list was begun in another state of the store and cannot go on: begin it anew")

	// ErrFull: the store has reached its bound on memory and refuses to grow
	// rather than evict a live session. It is also an ErrUnavailable.
	ErrFull = fmt.Errorf("%w: the store is full", ErrUnavailable)

	// ErrDenied: the Policy does not allow the action to this caller.
	ErrDenied = errors.New("not allowed")

	// ErrSkew: the version of a write is further ahead of the server's clock
	// than the skew bound. The writer's clock is wrong: synchronise it.
	ErrSkew = errors.New("version is too far ahead of the server's clock")

	// ErrFormat: stored or given bytes are damaged, or of a format newer than
	// this build reads. They were left as they are. Of a call about many sessions
	// it is an *UnreadableError.
	ErrFormat = errors.New("record cannot be read")

	// ErrFeedGap: changes after the given cursor are no longer in the feed.
	// List the sessions afresh, then watch from the cursor that the batch with
	// this error carries.
	ErrFeedGap = errors.New("change feed no longer reaches back to this cursor")

	// ErrFeedTrimmed: the feed was read more slowly than it was written, and has let go
	// of its oldest changes; the store has lost nothing else. It is also an ErrFeedGap.
	ErrFeedTrimmed = fmt.Errorf("%w: the oldest changes have made room for newer ones", ErrFeedGap)

	// ErrClosed: the Store or Backend was closed. It is also an ErrUnavailable.
	ErrClosed = fmt.Errorf("%w: it is closed", ErrUnavailable)
)

// RotatedError says that no live session has this id since Rotate gave the session
// another: of two that refresh it at once, one gets this. It is an ErrNotFound, but
// not a logout: shortly after At, the caller looks whether he has the new id by now,
// as a browser's other tab has the new cookie, before he gives the session up. What
// the new id is, and whether the session has ended under it since, is not told.
type RotatedError struct {
	At time.Time
}

func (e *RotatedError) Error() string {
	return fmt.Sprintf("%v under this id: it was rotated to another at %s", ErrNotFound, e.At.UTC().Format(time.RFC3339))
}

// Is makes errors.Is(err, ErrNotFound) true.
func (e *RotatedError) Is(target error) bool { return target == ErrNotFound }

// gone is the error about what is stored where no live session is.
func gone(stored *Record) error {
	if stored.Kind == KindTombstone && stored.Reason == ReasonRotated {
		return &RotatedError{At: stored.Version.Millis().Time()}
	}
	return ErrNotFound
}

// InvalidError says which field breaks which rule. It is an ErrInvalid.
type InvalidError struct {
	Field   string // the field as callers name it: "userId", "metadata.theme"
	Problem string // what is wrong and what is allowed; never the value of a secret
}

func (e *InvalidError) Error() string { return e.Field + ": " + e.Problem }

// Is makes errors.Is(err, ErrInvalid) true.
func (e *InvalidError) Is(target error) bool { return target == ErrInvalid }

func invalid(field, format string, args ...any) error {
	return &InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)}
}
