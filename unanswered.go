package perdure

import (
	"errors"
	"fmt"
)

// UnansweredError names records of which the store cannot say anything now, as in an
// outage: each may live. What was asked for beside them is returned with it. It is an
// ErrUnavailable.
type UnansweredError struct {
	IDs []string
	// Err is why the first of them cannot be answered: an ErrUnavailable.
	Err error
	// Unreadable names those beside them that are stored and cannot be read, if any.
	// It is not unwrapped: who goes on with an *UnreadableError must not take the
	// unanswered for absent.
	Unreadable *UnreadableError
}

// AsUnanswered tells an *UnansweredError, with which a read of many may go on, from
// other errors, and the *UnreadableError that came with it or alone.
func AsUnanswered(err error) (*UnansweredError, *UnreadableError, error) {
	if e, ok := errors.AsType[*UnansweredError](err); ok {
		return e, e.Unreadable, nil
	}
	bad, err := AsUnreadable(err)
	return nil, bad, err
}

// Set is IDs as a set, empty of a nil error.
func (e *UnansweredError) Set() map[string]bool {
	if e == nil {
		return nil
	}
	return setOf(e.IDs)
}

// Add takes in another one.
func (e *UnansweredError) Add(id string, err error) {
	if e.IDs = append(e.IDs, id); e.Err == nil {
		e.Err = err
	}
}

// Join takes in those that another error names, if there is one.
func (e *UnansweredError) Join(other *UnansweredError) {
	if other == nil {
		return
	}
	for _, id := range other.IDs {
		e.Add(id, other.Err)
	}
}

// With is the error of a call about so many ids: nil where neither names any, bad
// alone where each was answered, and why none was where that is so.
func (e *UnansweredError) With(bad *UnreadableError, ids int) error {
	switch n := len(e.IDs); {
	case n == 0:
		return bad.OrNil()
	case n == ids:
		return e.why()
	}
	if bad != nil && len(bad.IDs) > 0 {
		e.Unreadable = bad
	}
	return e
}

func (e *UnansweredError) why() error {
	if e.Err == nil {
		return ErrUnavailable
	}
	return e.Err
}

func (e *UnansweredError) Error() string {
	return fmt.Sprintf("%d not answered (%s): %v", len(e.IDs), named(e.IDs), e.why())
}

// Is makes errors.Is(err, ErrUnavailable) true.
func (e *UnansweredError) Is(target error) bool { return target == ErrUnavailable }

// Unwrap is why the first of them cannot be answered.
func (e *UnansweredError) Unwrap() error { return e.Err }
