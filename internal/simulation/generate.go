package simulation

import (
	"cmp"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// generator draws a history.
type generator struct {
	*rand.Rand
	p     *Profile
	steps []Step
	at    time.Duration
	refs  []int         // of sessions that were to be made so far
	ops   []Op          // each as often as it weighs
	heirs map[int][]int // what a session was rotated into
}

// Generate is the history of a seed.
func Generate(p *Profile, seed uint64) []Step {
	g := generator{Rand: rand.New(rand.NewPCG(seed, 0x5e55)), p: p, heirs: map[int][]int{}}
	for _, op := range slices.Sorted(maps.Keys(p.Weight)) {
		g.ops = append(g.ops, slices.Repeat([]Op{op}, p.Weight[op])...)
	}
	for len(g.steps) < p.Steps {
		g.draw()
		g.at += g.pause()
	}
	slices.SortStableFunc(g.steps, func(a, b Step) int { return cmp.Compare(a.At, b.At) })
	return g.steps
}

// pause is mostly short, and now and then long.
func (g *generator) pause() time.Duration {
	most := int64(g.p.Pause)
	switch g.IntN(10) {
	case 0, 1, 2:
		return 0
	case 3, 4, 5, 6:
		most /= 10
	}
	return time.Duration(g.Int64N(most + 1)).Round(time.Millisecond)
}

func (g *generator) add(s Step) {
	s.N = len(g.steps) + 1
	g.steps = append(g.steps, s)
}

// recent prefers sessions that were made of late.
func (g *generator) recent() int {
	if len(g.refs) == 0 {
		return 0
	}
	n := min(len(g.refs), 1+g.IntN(6))
	return g.refs[len(g.refs)-n]
}

func pick[T any](g *generator, from []T) T { return from[g.IntN(len(from))] }

func (g *generator) draw() {
	s := Step{At: g.at, Proc: g.IntN(g.p.Procs), Op: pick(g, g.ops), User: g.IntN(g.p.Users), Ref: g.recent()}
	if g.IntN(8) == 0 && len(g.refs) > 0 {
		s.Ref = pick(g, g.refs)
	}
	switch s.Op {
	case Create, CreateID:
		s.Span = pick(g, g.p.Lives)
		g.refs = append(g.refs, len(g.steps)+1)
	case Rotate:
		if g.IntN(2) == 0 {
			s.Span = pick(g, g.p.Lives)
		}
		g.refs = append(g.refs, len(g.steps)+1)
		g.heirs[s.Ref] = append(g.heirs[s.Ref], len(g.steps)+1)
	case Expire:
		s.Span = g.expiry()
	case GetMany:
		s.Refs = []int{g.recent(), g.recent(), s.Ref}
	case RevokeUser:
		if g.IntN(3) == 0 {
			s.Refs = []int{s.Ref}
		}
	case Link, Stop, Kill, CrashAt, Clock, Drift:
		g.befall(s)
		return
	case Empty, Older:
		if g.p.Absent {
			g.loseWhileAway(s)
			return
		}
	}
	g.add(s)
	if s.Op == Delete || s.Op == Revoke || s.Op == RevokeUser || s.Op == Rotate {
		g.look(s)
	}
}

// loseWhileAway has the front store lose a session while the process that made it is away,
// and another, which may be new, be told to end it before that is back.
func (g *generator) loseWhileAway(s Step) {
	at := s.At
	add := func(op Op, proc int, after int) *Step {
		at += time.Duration(1+g.IntN(after*1000)) * time.Millisecond
		g.add(Step{At: at, Op: op, Proc: proc, User: s.User})
		return &g.steps[len(g.steps)-1]
	}
	holder := s.Proc
	other := (holder + 1 + g.IntN(g.p.Procs-1)) % g.p.Procs
	made := add(Create, holder, 1)
	made.Span = pick(g, g.p.Lives)
	ref := made.N
	g.refs = append(g.refs, ref)
	away := pick(g, []Op{Link, Stop, Kill})
	if away == Kill { // what it has on disk is of an outage
		add(Link, holder, 3).Mode = Cut
		add(Get, holder, 3).Ref = ref
		at += 10 * time.Second
	}
	if gone := add(away, holder, 3); away == Link {
		gone.Mode = pick(g, g.p.Modes)
	}
	add(s.Op, holder, 3)
	if g.IntN(2) == 0 {
		add(Kill, other, 3)
		add(Start, other, 3)
	}
	add(pick(g, []Op{Delete, Delete, Revoke}), other, 40).Ref = ref
	if away != Link {
		add(map[Op]Op{Stop: Continue, Kill: Start}[away], holder, 60)
	}
	add(Link, holder, 20).Mode = Well
}

// look has somebody read what a step has ended, or what that was rotated into.
func (g *generator) look(s Step) {
	if g.IntN(2) == 0 {
		return
	}
	read := Step{At: s.At + time.Duration(g.IntN(8000))*time.Millisecond, Proc: s.Proc, Op: Get, Ref: s.Ref}
	if g.IntN(3) == 0 {
		read.Proc = g.IntN(g.p.Procs)
	}
	if heirs := g.heirs[s.Ref]; len(heirs) > 0 && g.IntN(3) > 0 {
		read.Ref = pick(g, heirs)
	}
	g.add(read)
}

// expiry is a new one, from now.
func (g *generator) expiry() time.Duration {
	if len(g.p.Puts) > 0 {
		return pick(g, g.p.Puts)
	}
	d := pick(g, g.p.Lives)
	switch g.IntN(3) {
	case 0:
		d /= 10
	case 1:
		d *= 3
	}
	return d
}

// befall draws a fault, and mostly its end.
func (g *generator) befall(s Step) {
	length := cmp.Or(g.p.Outage, 30*time.Second)
	length = time.Duration(g.Int64N(int64(length))) + length/4
	if g.IntN(4) == 0 {
		length /= 20
	}
	end := s
	end.At = (s.At + length).Round(time.Millisecond)
	switch s.Op {
	case Link:
		s.Mode, end.Mode = pick(g, g.p.Modes), Well
		if g.IntN(4) == 0 {
			s.Proc, end.Proc = Everybody, Everybody
		}
	case Stop:
		end.Op = Continue
	case Kill, CrashAt:
		s.Nth, end.Op = 1+g.IntN(12), Start
		end.At -= length / 2 // often before the outage that it died in is over
	case Clock:
		s.Span, end.Span = pick(g, g.p.Clocks), 0
	case Drift:
		s.Span, end.Span = pick(g, g.p.Drifts), 0
	}
	g.add(s)
	if g.IntN(6) > 0 {
		g.add(end)
	}
}
