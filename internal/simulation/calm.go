package simulation

import (
	"time"

	"github.com/perdure/perdure/backend/failover"
)

// inStepAfter is how long a process that is healthy and reaches the front store may
// take to know what that knows: it reads the feed again some time after an outage.
func (p *Profile) inStepAfter() time.Duration { return 10*time.Second + 3*p.Failover.RetryDelay }

// span is a stretch of time.
type span struct{ from, to time.Duration }

// calms are the times in which a life of a process was healthy, ran, and reached the
// front store.
func (j *judge) calms(l *life) (calm []span) {
	healthy, well, runs := false, true, true
	for _, e := range j.w.events {
		if e.life == nil && e.began <= l.began && e.Step.Proc == l.p.n && e.Step.Op == Link {
			well = e.Step.Mode == Well
		}
	}
	since, moves := never, l.moves
	change := func(at time.Duration, what *bool, to bool) {
		was := healthy && well && runs
		*what = to
		switch is := healthy && well && runs; {
		case is && !was:
			since = at
		case was && !is:
			calm = append(calm, span{since, at})
		}
	}
	pass := func(t time.Duration) {
		for len(moves) > 0 && moves[0].at <= t {
			change(moves[0].at, &healthy, moves[0].to == failover.Healthy)
			moves = moves[1:]
		}
	}
	for _, e := range j.w.events {
		if e.life != nil || e.began < l.began || l.ended != 0 && e.began > l.ended {
			continue
		}
		pass(e.began)
		switch s := e.Step; {
		case s.Op == settled:
			change(e.began, &well, true)
			change(e.began, &runs, true)
		case s.Op == Gap || s.Op == Reboot:
			change(e.began, &runs, !runs)
			change(e.began, &runs, !runs)
		case s.Proc != l.p.n:
		case s.Op == Link:
			change(e.began, &well, s.Mode == Well)
		case s.Op == Stop, s.Op == Continue:
			change(e.began, &runs, s.Op == Continue)
		}
	}
	pass(never)
	change(never, &healthy, false)
	return calm
}

// inStep is up to when the process knows for sure, at t, what the front store knew.
func (j *judge) inStep(l *life, t time.Duration) (known time.Duration) {
	if j.inCalm == nil {
		j.inCalm = map[*life][]span{}
	}
	calms, ok := j.inCalm[l]
	if !ok {
		calms = j.calms(l)
		j.inCalm[l] = calms
	}
	takes := j.w.profile.inStepAfter()
	for _, c := range calms {
		if until := min(c.to, t); until-c.from >= takes {
			known = until - takes
		}
	}
	return known
}
