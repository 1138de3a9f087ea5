package chaos

import (
	"context"
	"sync"
	"time"
)

// inspect reads every session through every member.
func (s *stage) inspect(ctx context.Context, patience time.Duration) []Op {
	ids := s.pool.all()
	deadline := s.settled.Add(patience)
	results := make([][]Op, len(s.members))
	var readers sync.WaitGroup
	for i, m := range s.members {
		results[i] = make([]Op, len(ids))
		const parallel = 8
		for lane := range parallel {
			readers.Go(func() {
				for j := lane; j < len(ids); j += parallel {
					results[i][j] = s.readAnswer(ctx, m, ids[j], deadline)
				}
			})
		}
	}
	readers.Wait()
	var all []Op
	for _, ops := range results {
		all = append(all, ops...)
	}
	return all
}

// readAnswer reads until there is an answer, or the deadline has come.
func (s *stage) readAnswer(ctx context.Context, m *member, id string, deadline time.Time) Op {
	for {
		op := m.do(ctx, Request{Kind: Read, ID: id})
		if op.Reply.Outcome == Acknowledged || time.Now().After(deadline) || ctx.Err() != nil {
			return op
		}
		s.pass(ctx, 100*time.Millisecond)
	}
}
