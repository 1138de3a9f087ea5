package chaos

import (
	"context"
	"slices"
	"sync"
	"time"
)

// checker is one for what was played.
func (s *stage) checker(settling time.Duration) *checker {
	noticed := func(node int) time.Time {
		if after, ok := s.members[node].degradedAfter(s.struck, s.settled); ok {
			return s.struck.Add(after)
		}
		return time.Time{}
	}
	return &checker{
		bound: s.cell.Bound, idle: s.cell.Tuning.IdleTimeout, maxAge: s.cell.Tuning.MaxAge, settling: settling,
		apart:     func(node int) bool { return s.cell.Fault.apart(node) || !noticed(node).IsZero() },
		reachable: s.cell.Fault.reachable,
		struck:    s.struck, mended: s.mended, settled: s.settled,
		noticed: noticed,
	}
}

// inspect reads every session and lists every user through every member. What was
// changed a moment ago may not have reached them all: it is read again until it has,
// or the time for an answer is up.
func (s *stage) inspect(ctx context.Context, c *checker, history []Op, patience time.Duration) []Op {
	var requests []Request
	for _, id := range s.pool.all() {
		requests = append(requests, Request{Kind: Read, ID: id})
	}
	users := map[string]bool{}
	for i := range history {
		if op := &history[i]; op.User != "" && !users[op.User] {
			users[op.User] = true
			requests = append(requests, Request{Kind: List, User: op.User})
		}
	}
	deadline := time.Now().Add(patience)
	awaited := c.awaited(history, deadline)
	until := func(q Request) time.Time {
		if q.Kind == List || awaited[q.ID] {
			return deadline
		}
		return time.Time{} // it may be over: whatever is said of it now will do
	}
	finals := s.askAll(ctx, requests, until)
	for {
		late := c.late(history, finals)
		if len(late) == 0 || time.Now().After(deadline) || ctx.Err() != nil {
			return finals
		}
		s.pass(ctx, 100*time.Millisecond)
		finals = slices.DeleteFunc(finals, func(op Op) bool { return late[op.Request] })
		for q := range late {
			finals = append(finals, s.askAll(ctx, []Request{q}, until)...)
		}
	}
}

// awaited are the sessions that are there for certain, at least until t.
func (c *checker) awaited(history []Op, t time.Time) map[string]bool {
	there := map[string]bool{}
	now := &Op{Start: time.Now()}
	for id, l := range lives(history, nil, c.bound, c.idle) {
		there[id] = len(l.removals) == 0 && c.earliest(l, now, t).After(t)
	}
	return there
}

// askAll makes requests of every member until they are answered, or it is too late.
func (s *stage) askAll(ctx context.Context, requests []Request, until func(Request) time.Time) (all []Op) {
	results := make([][]Op, len(s.members))
	var readers sync.WaitGroup
	for i, m := range s.members {
		results[i] = make([]Op, len(requests))
		const parallel = 8
		for lane := range parallel {
			readers.Go(func() {
				for j := lane; j < len(requests); j += parallel {
					results[i][j] = s.answer(ctx, m, requests[j], until(requests[j]))
				}
			})
		}
	}
	readers.Wait()
	for _, ops := range results {
		all = append(all, ops...)
	}
	return all
}

// answer asks until there is an answer, or the deadline has come.
func (s *stage) answer(ctx context.Context, m *member, q Request, deadline time.Time) Op {
	for {
		op := m.do(ctx, q)
		if op.Reply.Outcome == Acknowledged || time.Now().After(deadline) || ctx.Err() != nil {
			return op
		}
		s.pass(ctx, 100*time.Millisecond)
	}
}

// late are the requests whose answers do not show a removal that was acknowledged
// when all was well again: they may still do so.
func (c *checker) late(history, finals []Op) map[Request]bool {
	late := map[Request]bool{}
	fresh := func(r *Op) bool { return r.End.After(c.settled) }
	for _, l := range lives(history, finals, c.bound, c.idle) {
		for _, op := range l.finals {
			switch {
			case !op.Reply.Live || l.removedBefore(op.Start, c.bound.Skew, fresh) == nil:
			case op.Kind == List:
				late[Request{Kind: List, User: op.User}] = true
			default:
				late[op.Request] = true
			}
		}
	}
	return late
}
