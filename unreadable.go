package perdure

import (
	"errors"
	"fmt"
	"strings"
)

// UnreadableError names records that are stored and cannot be read. What was
// asked for beside them is returned with it, or was done. It is an ErrFormat.
type UnreadableError struct {
	IDs []string
	// Err is why the first of them cannot be read, where that is known.
	Err error
}

// AsUnreadable tells an *UnreadableError, with which one goes on, from other
// errors, which it returns as they are. Both are nil where err is.
func AsUnreadable(err error) (*UnreadableError, error) {
	if bad, ok := errors.AsType[*UnreadableError](err); ok {
		return bad, nil
	}
	return nil, err
}

// Set is IDs as a set, empty of a nil error.
func (e *UnreadableError) Set() map[string]bool {
	if e == nil {
		return nil
	}
	return setOf(e.IDs)
}

func setOf(ids []string) map[string]bool {
	set := make(map[string]bool, len(ids))
	for _, id := range ids {
		set[id] = true
	}
	return set
}

// Add takes in another one.
func (e *UnreadableError) Add(id string, err error) {
	if e.IDs = append(e.IDs, id); e.Err == nil {
		e.Err = err
	}
}

// OrNil is the error, or nil where it names nothing.
func (e *UnreadableError) OrNil() error {
	if e == nil || len(e.IDs) == 0 {
		return nil
	}
	return e
}

// maxNamed bounds the ids in the text of an error.
const maxNamed = 10

func (e *UnreadableError) Error() string {
	why := e.Err
	if why == nil {
		why = ErrFormat
	}
	return fmt.Sprintf("%d unreadable (%s): %v", len(e.IDs), named(e.IDs), why)
}

// named are the first of the ids, for the text of an error.
func named(ids []string) string {
	names := make([]string, min(len(ids), maxNamed))
	for i := range names {
		names[i] = clip(ids[i])
	}
	if len(ids) > maxNamed {
		names = append(names, "…")
	}
	return strings.Join(names, ", ")
}

// Is makes errors.Is(err, ErrFormat) true.
func (e *UnreadableError) Is(target error) bool { return target == ErrFormat }

// Unwrap is why the first of them cannot be read.
func (e *UnreadableError) Unwrap() error { return e.Err }
