package chaos

import (
	"context"
	"fmt"
	"time"

	"github.com/perdure/perdure"
)

// heard is what a member that watches was told of one session.
type heard struct {
	any, end bool
}

// followed waits until every member that watched without a gap was told of each
// acknowledged login and logout, and counts what it was not told of.
func (s *stage) followed(ctx context.Context, c *checker, history []Op, patience time.Duration) {
	deadline := time.Now().Add(patience)
	for _, m := range s.members {
		for {
			missing, whole := m.unannounced(history)
			if !whole || len(missing) == 0 {
				break
			}
			if time.Now().After(deadline) || ctx.Err() != nil {
				c.verdict.Unannounced += len(missing)
				for _, what := range missing {
					c.example("not announced to %d: %s", m.index, what)
				}
				break
			}
			s.pass(ctx, 50*time.Millisecond)
		}
	}
}

// unannounced is what the member was not told of; whole is false where it missed a
// stretch of the feed and knows, or was started anew.
func (m *member) unannounced(history []Op) (missing []string, whole bool) {
	m.changes.Lock()
	list := m.changes.list
	m.changes.Unlock()
	told := map[string]heard{}
	for i := range list {
		if list[i].Gap || list[i].Began && i > 0 {
			return nil, false
		}
		for _, c := range list[i].Changes {
			h := told[c.ID]
			h.any, h.end = true, h.end || c.Kind == perdure.Deleted || c.Kind == perdure.Expired
			told[c.ID] = h
		}
	}
	for i := range history {
		op := &history[i]
		switch {
		case op.begins() && !told[op.Reply.ID].any:
			missing = append(missing, fmt.Sprintf("%s of %s through %d", op.Kind, op.Reply.ID, op.Node))
		case op.Kind == Delete && op.Reply.Live && op.Reply.Outcome == Acknowledged && !told[op.ID].end:
			missing = append(missing, fmt.Sprintf("%s of %s through %d", op.Kind, op.ID, op.Node))
		}
	}
	return missing, true
}
