package simulation

import (
	"fmt"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

// Event is a call and what came of it, or something that befell the world.
type Event struct {
	Step  *Step
	life  *life
	id    string   // the session asked about
	ids   []string // several
	began time.Duration
	ended time.Duration
	first int // when it began and ended, in the order of all that happened
	last  int
	off   time.Duration // how far the clock was off when it began
	offAt time.Duration // and when it ended
	from  failover.State
	to    failover.State
	moved bool // whether there was a transition meanwhile
	moves int  // transitions before it ended
	final bool // after all was mended

	done    bool // it returned, and somebody heard
	err     error
	ok      bool
	n       int
	session perdure.Session
	list    []perdure.Session
	missing []string
	wanted  time.Time // an expiry that was asked for
	note    string
}

// acked reports whether it was acknowledged.
func (e *Event) acked() bool { return e.done && e.err == nil }

// before reports whether it ended before another began.
func (e *Event) before(o *Event) bool { return e.done && e.last < o.first }

// may reports whether it may have done something before another ended.
func (e *Event) may(o *Event) bool { return e.first < o.last }

// connected reports whether the front store was there for all of it.
func (e *Event) connected() bool {
	return !e.moved && e.from == e.to && e.online()
}

// online reports whether it was answered by the front store, as far as can be told.
func (e *Event) online() bool {
	return !e.moved && (e.from == failover.Healthy || e.from == failover.Recovering || e.from == failover.Reseeding)
}

func (e *Event) String() string {
	s := e.Step.String()
	if e.life == nil {
		return s + e.note
	}
	switch {
	case e.note != "":
		s += " " + e.note
	case !e.done:
		s += " → no answer"
	case e.err != nil:
		s += fmt.Sprintf(" → %.160s", e.err)
	default:
		s += " → " + e.answer()
	}
	if e.off != 0 {
		s += fmt.Sprintf(" [clock %+v]", e.off.Round(time.Second))
	}
	if e.from != failover.Healthy {
		s += fmt.Sprintf(" [%s]", e.from)
	}
	return s
}

func (e *Event) answer() string {
	switch e.Step.Op {
	case Create, CreateID, Get, Update, Expect, Expire, Rotate:
		return fmt.Sprintf("ok, until %v", e.session.ExpiresAt.Format(time.TimeOnly))
	case Exists, Touch, Delete, Revoke:
		return fmt.Sprint(e.ok)
	case RevokeUser, Sweep:
		return fmt.Sprint(e.n)
	case ListUser, ListAll:
		return fmt.Sprintf("%d sessions", len(e.list))
	case GetMany:
		return fmt.Sprintf("%d sessions, %d missing", len(e.list), len(e.missing))
	}
	return "ok"
}
