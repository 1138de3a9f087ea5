package perdure

import (
	"context"
	"time"
)

// Action names an operation of Store, for policies, audit and metrics.
type Action string

const (
	ActionCreate        Action = "create"
	ActionGet           Action = "get"
	ActionExists        Action = "exists"
	ActionUpdate        Action = "update"
	ActionTouch         Action = "touch"
	ActionDelete        Action = "delete"
	ActionRevoke        Action = "revoke"
	ActionRevokeUser    Action = "revoke_user"
	ActionRotate        Action = "rotate"
	ActionList          Action = "list"
	ActionWatch         Action = "watch"
	ActionDeleteExpired Action = "delete_expired"
)

// Target is what an action is about. Fields that are not known are empty.
type Target struct {
	SessionID string
	UserID    string
}

// Policy decides who may do what. It must be safe for concurrent use.
type Policy interface {
	// Allow returns nil, or an error that wraps ErrDenied and says why. The
	// caller is in ctx, where the application put it. An action on one session
	// is asked about with the session's user, after it was found; a list with
	// the user that it was narrowed to.
	Allow(ctx context.Context, action Action, target Target) error
}

// Event says what was done: the raw material of an audit record (NIST SP 800-53
// AU-3: what, when, where, who and with which outcome). It holds no payload.
type Event struct {
	Action Action
	Target
	Reason Reason
	Count  int // sessions affected
	At     time.Time
	Err    error // nil where it succeeded
}

// Auditor is told of every call of a Store method when it is over, but for
// Watch and the sweep. It must be safe for concurrent use and must not block.
type Auditor interface {
	Audit(ctx context.Context, e Event)
}

// Recorder measures. It must be safe for concurrent use and must not block.
type Recorder interface {
	// Observe is called once for each call of a Store method.
	Observe(action Action, took time.Duration, err error)
}

// call is one call of a Store method, for those who look on.
type call struct {
	store *Store
	event Event
}

func (s *Store) call(action Action, target Target) call {
	c := call{store: s}
	if s.watched {
		c.event = Event{Action: action, Target: target, Count: 1, At: s.options.Now()}
	}
	return c
}

// end tells the Recorder and the Auditor, and returns err.
func (c *call) end(ctx context.Context, err error) error {
	if !c.store.watched {
		return err
	}
	if r := c.store.options.Recorder; r != nil {
		r.Observe(c.event.Action, c.store.options.Now().Sub(c.event.At), err)
	}
	if a := c.store.options.Auditor; a != nil {
		c.event.Err = err
		if _, failed := AsUnreadable(err); failed != nil {
			c.event.Count = 0
		}
		a.Audit(ctx, c.event)
	}
	return err
}

// allow asks the Policy.
func (s *Store) allow(ctx context.Context, action Action, target Target) error {
	if s.options.Policy == nil {
		return nil
	}
	return s.options.Policy.Allow(ctx, action, target)
}
