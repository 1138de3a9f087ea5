package backendtest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"
	"github.com/perdure/perdure"
)

// sessionsAreLinearizable records what several goroutines do to a few sessions
// and lets porcupine look for an order in which it makes sense. Where Get may be
// behind other processes, all go through one.
func sessionsAreLinearizable(r *rig) {
	for round := range r.size(6) {
		u := r.user()
		targets := []perdure.Record{r.session(u), r.sessionAs(u, r.alien(u))}
		var history history
		start := time.Now()
		const clients = 5
		r.parallel(clients, func(i int) error {
			b := r.either(i)
			if r.cfg.Stale {
				b = r.a
			}
			c := client{r: r, b: b, id: i, start: start, dice: rand.New(rand.NewPCG(uint64(round), uint64(i)))}
			for range 15 {
				op, err := c.step(targets[c.dice.IntN(len(targets))])
				if err != nil {
					return err
				}
				history.add(op)
			}
			return nil
		})
		switch porcupine.CheckOperationsTimeout(sessionModel(), history.ops, r.cfg.Patience) {
		case porcupine.Illegal:
			r.t.Fatalf("no order of these makes sense:\n%s", history.String())
		case porcupine.Unknown:
			r.t.Fatalf("whether %d operations are linearizable was not decided within %v", len(history.ops), r.cfg.Patience)
		}
	}
}

type history struct {
	mu  sync.Mutex
	ops []porcupine.Operation
}

func (h *history) add(op porcupine.Operation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ops = append(h.ops, op)
}

func (h *history) String() (s string) {
	for _, op := range h.ops {
		s += fmt.Sprintf("  client %d from %d to %d: %s\n", op.ClientId, op.Call, op.Return, describe(op.Input.(access), op.Output.(perdure.Result)))
	}
	return s
}

// access is one call: a write, or, without an Op, a Get.
type access struct{ perdure.Write }

// client does random things to sessions, from what it last saw of them.
type client struct {
	r     *rig
	b     perdure.Backend
	id    int
	start time.Time
	dice  *rand.Rand
	seen  perdure.Record
}

func (c *client) step(target perdure.Record) (porcupine.Operation, error) {
	if c.seen.ID != target.ID || c.seen.Kind != perdure.KindSession {
		c.seen = perdure.Record{}
	}
	in := c.draw(target)
	op := porcupine.Operation{ClientId: c.id, Input: in, Call: int64(time.Since(c.start))}
	out, err := c.carryOut(in)
	op.Output, op.Return = out, int64(time.Since(c.start))
	switch {
	case in.Op == perdure.OpPut && out.Outcome == perdure.Applied:
		c.seen = in.Record
	case in.Op != perdure.OpTouch:
		c.seen = out.Stored
	}
	return op, err
}

func (c *client) draw(target perdure.Record) access {
	switch n := c.dice.IntN(20); {
	case n < 6:
		return access{perdure.Write{Record: target}}
	case n < 13:
		next := c.r.changed(target)
		return access{put(next, c.seen.Version)}
	case n < 19:
		return access{touch(target.ID, target.LastAccess+perdure.Millis(c.dice.IntN(1000)))}
	}
	return access{remove(target.ID, c.r.version(), perdure.ReasonLogout)}
}

func (c *client) carryOut(in access) (perdure.Result, error) {
	if in.Op == 0 {
		stored, err := c.b.Get(c.r.ctx, in.Record.ID)
		return perdure.Result{Stored: stored}, err
	}
	return tryApply(c.r, c.b, in.Write)
}

// sessionModel is a register with a tombstone, for each id.
func sessionModel() porcupine.Model {
	return porcupine.Model{
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			byID := map[string][]porcupine.Operation{}
			for _, op := range history {
				id := op.Input.(access).Record.ID
				byID[id] = append(byID[id], op)
			}
			var parts [][]porcupine.Operation
			for _, part := range byID {
				parts = append(parts, part)
			}
			return parts
		},
		Init: func() any { return perdure.Record{} },
		Step: func(state, input, output any) (bool, any) {
			return register(state.(perdure.Record), input.(access), output.(perdure.Result))
		},
		DescribeOperation: func(input, output any) string {
			return describe(input.(access), output.(perdure.Result))
		},
	}
}

// register says whether an access to a record can have this result, and what
// is stored then.
func register(stored perdure.Record, in access, out perdure.Result) (bool, perdure.Record) {
	live := stored.Kind == perdure.KindSession
	switch {
	case in.Op == 0:
		return out.Stored == stored, stored
	case in.Op == perdure.OpPut && in.Base == stored.Version:
		next := in.Record
		next.LastAccess = max(next.LastAccess, stored.LastAccess)
		return out.Outcome == perdure.Applied, next
	case in.Op == perdure.OpPut:
		return out.Outcome == perdure.Conflict && out.Stored == stored, stored
	case !live:
		return out.Outcome == perdure.Absent && out.Stored == stored, stored
	case in.Op == perdure.OpTouch:
		stored.LastAccess = max(stored.LastAccess, in.Record.LastAccess)
		return out.Outcome == perdure.Applied, stored
	}
	return out.Outcome == perdure.Applied && out.Stored == stored, buried(stored, in.Record.Version, in.Record.Reason)
}

func describe(in access, out perdure.Result) string {
	if in.Op == 0 {
		return "get: " + show(out.Stored)
	}
	return showWrite(in.Write) + ": " + showResult(out)
}
