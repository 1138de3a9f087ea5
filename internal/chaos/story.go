package chaos

import (
	"context"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/redis"
)

// told is a line of a story: what was asked of a session, and what was answered.
type told struct {
	Node       int
	Start, End string // since the fault
	Request    Request
	Reply      Reply
}

// tellAll writes, of the sessions that the checker complained of, all that was asked
// of them, of those that they come from and of those that they were rotated to, in the
// order of the answers, and what the session store holds of them now: a JSON value a
// line.
func (c *checker) tellAll(ctx context.Context, out io.Writer, history []Op, url string) error {
	kin := family(history, c.blamed)
	var ops []*Op
	for i := range history {
		if op := &history[i]; kin[op.ID] || kin[op.Reply.ID] {
			ops = append(ops, op)
		}
	}
	slices.SortFunc(ops, func(a, b *Op) int { return a.End.Compare(b.End) })
	encoder := json.NewEncoder(out)
	since := func(t time.Time) string { return t.Sub(c.struck).Round(time.Microsecond).String() }
	for _, op := range ops {
		if err := encoder.Encode(told{op.Node, since(op.Start), since(op.End), op.Request, op.Reply}); err != nil {
			return err
		}
	}
	front, err := redis.Open(ctx, redis.Options{URL: url})
	if err != nil {
		return err
	}
	defer front.Close()
	records, err := front.Load(ctx, slices.Sorted(maps.Keys(kin)))
	if _, err := perdure.AsUnreadable(err); err != nil {
		return err
	}
	for i := range records {
		if err := encoder.Encode(records[i]); err != nil {
			return err
		}
	}
	return nil
}

// family is the ids and whatever is tied to one of them by rotations.
func family(history []Op, ids []string) map[string]bool {
	kin := map[string]bool{}
	for _, id := range ids {
		kin[id] = true
	}
	for grown := true; grown; {
		grown = false
		for i := range history {
			op := &history[i]
			if tied := op.Kind == Rotate && op.begins(); tied && kin[op.ID] != kin[op.Reply.ID] {
				kin[op.ID], kin[op.Reply.ID], grown = true, true, true
			}
		}
	}
	return kin
}
