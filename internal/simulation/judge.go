package simulation

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

// Verdict is what is wrong with a history.
type Verdict struct {
	Events     []*Event
	Violations []Violation
	Calls      int // that were acknowledged
}

// Violation is one breach of a law.
type Violation struct {
	Law   string
	Text  string
	Event *Event // that shows it; nil where none does
}

// The laws.
const (
	Lost        = "lost"        // acknowledged, and gone after all was mended
	Resurrected = "resurrected" // ended, and alive
	NotFound    = "wrong not-found"
	Expired     = "expired returned"
	LostUpdate  = "lost update"
	TwoUpdates  = "one version updated twice"
	Refused     = "an end was refused"
	TooOld      = "older than the maximum age"
	Unwell      = "not well after all was mended"
)

// judge knows the laws, and of the code that is judged nothing.
type judge struct {
	w        *world
	sessions []*session
	byID     map[string]*session
	revokes  []*Event
	repaired map[int][]time.Duration // when the disk of a process was meddled with
	inCalm   map[*life][]span
	verdicts Verdict
}

// session is what happened to one, in the order of steps.
type session struct {
	id        string
	user      string
	service   int
	made      *Event
	parent    *session
	ends      []*Event // attempts to delete or revoke it
	rotations []*Event
	expiries  []*Event // attempts to set its expiry
	touches   []*Event
	updates   []*Event
}

const never = time.Duration(math.MaxInt64)

func newJudge(w *world) *judge {
	j := &judge{w: w, byID: map[string]*session{}, repaired: map[int][]time.Duration{}}
	for _, e := range w.events {
		if e.life == nil {
			switch e.Step.Op {
			case BackDir, WipeDir, Damage:
				j.repaired[e.Step.Proc] = append(j.repaired[e.Step.Proc], e.began)
			}
			continue
		}
		j.sort(e)
	}
	return j
}

// sort puts an event where it belongs.
func (j *judge) sort(e *Event) {
	x := j.byID[e.id]
	switch e.Step.Op {
	case Create, CreateID, Rotate:
		if x != nil {
			x.rotations = append(x.rotations, e)
		}
		if made := (&session{service: e.life.p.service, made: e, parent: x}); e.acked() {
			made.id, made.user = e.session.ID, e.session.UserID
			j.byID[made.id] = made
			j.sessions = append(j.sessions, made)
		} else if e.Step.Op == CreateID {
			made.id, made.user = e.id, user(e.Step.User) // it may have been made
			j.byID[made.id] = made
		}
	case RevokeUser:
		j.revokes = append(j.revokes, e)
	}
	if x == nil {
		return
	}
	switch e.Step.Op {
	case Delete, Revoke:
		x.ends = append(x.ends, e)
	case Expire:
		x.expiries = append(x.expiries, e)
	case Touch:
		x.touches = append(x.touches, e)
	case Update, Expect:
		x.updates = append(x.updates, e)
	}
}

func (j *judge) verdict() *Verdict {
	v := &j.verdicts
	v.Events = j.w.events
	for _, b := range j.w.broken {
		j.breach(Unwell, nil, "%s", b)
	}
	for _, e := range j.w.events {
		if e.life == nil || !e.done {
			continue
		}
		if e.err == nil {
			v.Calls++
		}
		j.hear(e)
	}
	if j.w.quiet > 0 {
		for _, x := range j.sessions {
			j.checkVersions(x)
		}
	}
	return v
}

func (j *judge) breach(law string, e *Event, format string, args ...any) {
	j.verdicts.Violations = append(j.verdicts.Violations, Violation{law, fmt.Sprintf(format, args...), e})
}

// hear judges what a call was answered.
func (j *judge) hear(e *Event) {
	op := e.Step.Op
	notFound := errors.Is(e.err, perdure.ErrNotFound)
	switch {
	case op == ListUser || op == ListAll || op == GetMany:
		if _, some := errors.AsType[*perdure.UnansweredError](e.err); some || e.err == nil {
			j.hearList(e)
		}
	case op == RevokeUser, op == Sweep, op == Create, op == CreateID, op == Copy, op == MergeCopy:
	case notFound, e.err == nil && !e.ok && (op == Exists || op == Touch || op == Delete || op == Revoke):
		j.absent(e, e.id)
	case e.err == nil && op != Delete && op != Revoke:
		j.present(e, e.id)
	}
	if e.err == nil || notFound {
		return
	}
	x := j.byID[e.id]
	switch {
	case e.final && (x == nil || j.alive(x, e) || j.came(x)):
		j.breach(Unwell, e, "%s %s is refused by p%d after all was mended: %v", op, j.name(e.id), e.life.p.n, e.err)
	case j.w.profile.EndsTaken && (op == Delete || op == Revoke || op == RevokeUser && len(e.ids) == 0):
		j.breach(Refused, e, "p%d refused to %s %s: %v", e.life.p.n, op, cmp.Or(j.name(e.id), user(e.Step.User)), e.err)
	}
}

// came reports whether the session has reached the front store for sure, so that it is
// known by the end whether it is there, whatever became of it since.
func (j *judge) came(x *session) bool {
	return x.made.acked() && j.guaranteed(x.made) && len(j.w.losses) == 0
}

func (j *judge) hearList(e *Event) {
	listed := map[string]bool{}
	for i := range e.list {
		listed[e.list[i].ID] = true
		j.present(e, e.list[i].ID)
	}
	for _, id := range e.missing {
		j.absent(e, id)
	}
	if e.Step.Op == GetMany {
		return
	}
	for _, x := range j.sessions {
		if x.service == e.life.p.service && !listed[x.id] && (e.Step.Op == ListAll || x.user == user(e.Step.User)) && j.listable(x, e) {
			j.absent(e, x.id)
		}
	}
}

// listable reports whether a list must have the session if it is alive. Who is cut
// off lists what was there then.
func (j *judge) listable(x *session, e *Event) bool {
	if e.final {
		return true
	}
	elsewhere := func(w *Event) bool { return w.life != e.life }
	return e.connected() || !elsewhere(x.made) && !slices.ContainsFunc(slices.Concat(x.expiries, x.touches), elsewhere)
}

// absent judges the statement that a session is not there.
func (j *judge) absent(e *Event, id string) {
	x := j.byID[id]
	if x == nil || !j.alive(x, e) {
		return
	}
	law := NotFound
	if e.final {
		law = Lost
	}
	j.breach(law, e, "p%d says that %s is not there", e.life.p.n, j.name(id))
}

// present judges the statement that a session is there.
func (j *judge) present(e *Event, id string) {
	x := j.byID[id]
	if x == nil {
		return
	}
	if end := j.dead(x, e); end != nil {
		j.breach(Resurrected, e, "p%d says that %s is there, which was ended by step %d, %s", e.life.p.n, j.name(id), end.Step.N, end.Step)
		return
	}
	if over := j.over(x, e); e.began > over {
		j.breach(Expired, e, "p%d says that %s is there, which was over at %v", e.life.p.n, j.name(id), over.Round(time.Second))
	}
	if age, most := j.outage(e, x), j.w.profile.Failover.MaxAge; most > 0 && age > most+5*time.Second {
		j.breach(TooOld, e, "p%d serves %s %v into an outage", e.life.p.n, j.name(id), age.Round(time.Second))
	}
}

// outage is how long the outage has lasted in which a session from before it is
// served.
func (j *judge) outage(e *Event, x *session) time.Duration {
	if e.from != failover.Degraded || e.moved {
		return 0
	}
	began := e.life.began
	for _, m := range e.life.moves {
		if m.at <= e.began && m.to == failover.Degraded {
			began = m.at
		}
	}
	if x.made.ended >= began {
		return 0
	}
	return e.began - began
}

func (j *judge) name(id string) string {
	if x := j.byID[id]; x != nil {
		return fmt.Sprintf("s%d", x.made.Step.N)
	}
	return id
}

// known is when what an event did was known to the front store; never, if it may
// be lost.
func (j *judge) known(e *Event) time.Duration {
	if !e.done {
		return never
	}
	if e.online() {
		return e.ended
	}
	if at, ok := e.life.healthyFrom(e.moves, e.ended); ok {
		return at
	}
	p := e.life.p
	if !j.w.profile.Files {
		return never
	}
	if j.w.profile.Shared {
		return j.w.quiet // another process may have taken the journal over
	}
	for _, l := range p.lives[e.life.n+1:] {
		if slices.ContainsFunc(j.repaired[p.n], func(at time.Duration) bool { return at >= e.ended && at <= l.began }) {
			return never
		}
		if at, ok := l.healthyFrom(0, l.began); ok {
			return at
		}
	}
	return never
}

// knownBy reports whether the front store knew what an event did when a call began.
func (j *judge) knownBy(e, reader *Event) bool {
	if e.online() {
		return e.before(reader)
	}
	return j.known(e) < reader.began
}

// guaranteed reports whether what an event did must hold after all was mended.
func (j *judge) guaranteed(e *Event) bool {
	if !e.done || j.known(e) == never {
		return false
	}
	for _, at := range j.w.losses {
		if at >= e.began && e.life.ended != 0 {
			return false // who knew of it died
		}
	}
	return true
}

// lossy reports whether the front store may have lost something before the event.
func (j *judge) lossy(e *Event) bool {
	return slices.ContainsFunc(j.w.losses, func(at time.Duration) bool { return at <= e.ended })
}

// sees reports whether the reader must know of what an earlier event did, if it
// knows anything of the session.
func (j *judge) sees(e, reader *Event) bool {
	switch {
	case !e.before(reader):
		return false
	case e.life == reader.life:
		return true
	case reader.final:
		return j.guaranteed(e)
	}
	return !j.lossy(reader) && j.knownBy(e, reader)
}
