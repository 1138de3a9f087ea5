package chaos

import (
	"slices"
	"testing"
	"time"
)

// The checker knows when a session ends whose expiry changes, or that ends when it is
// idle, and who can know of that.
func TestCheckOfChangingEnds(t *testing.T) {
	begin := time.Now()
	at := func(seconds float64) time.Time { return begin.Add(time.Duration(seconds * float64(time.Second))) }
	op := func(kind Kind, node int, start float64, live bool) Op {
		o := Op{Request: Request{Kind: kind, ID: "s"}, Node: node, Start: at(start), End: at(start + 0.1)}
		o.Reply = Reply{Kind: kind, ID: "s", Outcome: Acknowledged, Live: live}
		return o
	}
	create := func(node int, start, end float64) Op {
		o := op(Create, node, start, true)
		o.ID, o.User, o.Reply.Expiry = "", "u", at(end)
		return o
	}
	expire := func(node int, start, end float64) Op {
		o := op(Expire, node, start, true)
		o.TTL, o.Reply.Expiry = at(end).Sub(o.Start), at(end)
		return o
	}
	unknown := func(o Op) Op {
		o.Reply.Outcome, o.Reply.Live, o.Reply.Expiry = Unknown, false, time.Time{}
		return o
	}
	list := func(node int, start float64, ids ...string) Op {
		o := op(List, node, start, false)
		o.ID, o.User, o.Reply.ID, o.Reply.IDs = "", "u", "", ids
		return o
	}
	// The fault is from 10 to 20, all is well at 25; process 0 is cut off in it.
	for name, c := range map[string]struct {
		history []Op
		final   Op
		idle    time.Duration
		want    Verdict
	}{
		"brought forward":                    {[]Op{create(0, 0, 1000), expire(1, 1, 5)}, op(Read, 1, 30, false), 0, Verdict{}},
		"brought forward, alive again":       {[]Op{create(0, 0, 1000), expire(1, 1, 5)}, op(Read, 1, 30, true), 0, Verdict{Expired: 1}},
		"brought forward in the fault":       {[]Op{create(0, 0, 1000), expire(1, 11, 15)}, op(Read, 0, 30, true), 0, Verdict{Expired: 1}},
		"cut off from it":                    {[]Op{create(0, 0, 1000), expire(1, 11, 15), op(Read, 0, 17, true)}, op(Read, 0, 30, false), 0, Verdict{}},
		"validated after its end":            {[]Op{create(0, 0, 5), op(Validate, 1, 7, true)}, op(Read, 1, 30, false), 0, Verdict{Expired: 1}},
		"put off":                            {[]Op{create(0, 0, 5), expire(1, 1, 1000)}, op(Read, 1, 30, true), 0, Verdict{}},
		"put off, and lost":                  {[]Op{create(0, 0, 5), expire(1, 1, 1000)}, op(Read, 1, 30, false), 0, Verdict{Lost: 1}},
		"put off, and not found by others":   {[]Op{create(0, 0, 12), expire(1, 11, 1000), op(Read, 0, 15, false)}, op(Read, 1, 30, true), 0, Verdict{NotFound: 1}},
		"put off by who is cut off":          {[]Op{create(0, 0, 12), expire(0, 11, 1000), op(Read, 1, 15, false)}, op(Read, 1, 30, false), 0, Verdict{}},
		"perhaps put off":                    {[]Op{create(0, 0, 5), unknown(expire(1, 1, 1000))}, op(Read, 1, 30, true), 0, Verdict{}},
		"perhaps brought forward":            {[]Op{create(0, 0, 1000), unknown(expire(1, 1, 5))}, op(Read, 1, 30, false), 0, Verdict{}},
		"forward and off again":              {[]Op{create(0, 0, 1000), expire(1, 1, 28), expire(0, 2, 1000)}, op(Read, 1, 30, false), 0, Verdict{Lost: 1}},
		"idle":                               {[]Op{create(0, 0, 1000), op(Touch, 1, 3, true)}, op(Read, 1, 30, false), 10 * time.Second, Verdict{}},
		"idle, and alive":                    {[]Op{create(0, 0, 1000), op(Touch, 1, 3, true)}, op(Read, 1, 30, true), 10 * time.Second, Verdict{Expired: 1}},
		"in use, and gone":                   {[]Op{create(0, 0, 1000), op(Touch, 1, 8, true), op(Read, 1, 12, false)}, op(Read, 1, 30, false), 10 * time.Second, Verdict{NotFound: 1}},
		"listed":                             {[]Op{create(0, 0, 1000), list(1, 5, "s")}, op(Read, 1, 30, true), 0, Verdict{}},
		"a list lacks it":                    {[]Op{create(0, 0, 1000), list(1, 5, "other")}, op(Read, 1, 30, true), 0, Verdict{NotFound: 1}},
		"a list of others need not know yet": {[]Op{create(0, 11, 1000), list(1, 12)}, op(Read, 1, 30, true), 0, Verdict{}},
		"a list has what is over":            {[]Op{create(0, 0, 5), list(1, 7, "s")}, op(Read, 1, 30, false), 0, Verdict{Expired: 1}},
		"a list has what was removed":        {[]Op{create(0, 0, 1000), op(Delete, 0, 2, true), list(1, 7, "s")}, op(Read, 1, 30, false), 0, Verdict{Resurrected: 1}},
		"the last list has what was removed": {[]Op{create(0, 0, 1000), op(Delete, 0, 2, true)}, list(1, 30, "s"), 0, Verdict{Resurrected: 1}},
		"the last list lacks it":             {[]Op{create(0, 0, 1000)}, list(1, 30), 0, Verdict{Lost: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			k := checker{struck: at(10), mended: at(20), settled: at(25), idle: c.idle, apart: func(node int) bool { return node == 0 }}
			got := k.check(c.history, []Op{c.final})
			if got.Violations() != c.want.Violations() || got.Lost != c.want.Lost || got.Resurrected != c.want.Resurrected || got.NotFound != c.want.NotFound || got.Expired != c.want.Expired {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// A copy may be served so long after the outage was noticed, and what lies on a part
// that was never cut off binds everybody.
func TestCheckOfAgesAndShards(t *testing.T) {
	begin := time.Now()
	at := func(seconds float64) time.Time { return begin.Add(time.Duration(seconds * float64(time.Second))) }
	op := func(kind Kind, node int, id string, start float64, live bool) Op {
		o := Op{Request: Request{Kind: kind, ID: id}, Node: node, Start: at(start), End: at(start + 0.1)}
		o.Reply = Reply{Kind: kind, ID: id, Outcome: Acknowledged, Live: live, Expiry: at(1000)}
		if kind == Create {
			o.ID, o.User = "", "u"
		}
		return o
	}
	refused := op(Delete, 0, "s", 12, false)
	refused.Reply.Outcome, refused.Reply.Why = Unavailable, JournalFull
	for name, c := range map[string]struct {
		history []Op
		want    Verdict
	}{
		"young enough":              {[]Op{op(Create, 0, "s", 0, true), op(Read, 0, "s", 12, true)}, Verdict{}},
		"too old":                   {[]Op{op(Create, 0, "s", 0, true), op(Read, 0, "s", 14, true)}, Verdict{Stale: 1}},
		"made in the outage":        {[]Op{op(Create, 0, "s", 11, true), op(Read, 0, "s", 14, true)}, Verdict{}},
		"logout not known yet":      {[]Op{op(Create, 0, "cut", 0, true), op(Delete, 0, "cut", 11, true), op(Touch, 1, "cut", 12, true)}, Verdict{}},
		"logout on a living shard":  {[]Op{op(Create, 0, "near", 0, true), op(Delete, 0, "near", 11, true), op(Touch, 1, "near", 12, true)}, Verdict{Resurrected: 1}},
		"a logout is refused":       {[]Op{op(Create, 0, "s", 0, true), refused}, Verdict{EndsRefused: 1}},
		"what was refused is known": {[]Op{op(Create, 0, "s", 0, true), refused, op(Read, 1, "s", 12, false)}, Verdict{EndsRefused: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			k := checker{
				struck: at(10), mended: at(20), settled: at(25), maxAge: 2 * time.Second,
				noticed: func(int) time.Time { return at(11) }, reachable: func(id string) bool { return id == "near" },
			}
			got := k.check(c.history, nil)
			if got.Violations() != c.want.Violations() || got.Stale != c.want.Stale || got.Resurrected != c.want.Resurrected || got.EndsRefused != c.want.EndsRefused {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// Calls are counted by who made the session, with the reasons of those that failed.
func TestCallsAreCounted(t *testing.T) {
	begin := time.Now()
	op := func(kind Kind, node int, outcome Outcome, why Reason) Op {
		o := Op{Request: Request{Kind: kind, ID: "s"}, Node: node, Start: begin.Add(time.Second), End: begin.Add(2 * time.Second)}
		o.Reply = Reply{Kind: kind, ID: "s", Outcome: outcome, Live: outcome == Acknowledged, Why: why}
		return o
	}
	create := op(Create, 0, Acknowledged, "")
	create.ID = ""
	k := checker{struck: begin, settled: begin.Add(time.Minute)}
	got := k.check(slices.Concat([]Op{create, op(Read, 0, Acknowledged, ""), op(Read, 1, Unavailable, NotHeld)}, []Op{op(Update, 1, Unknown, NoAnswer)}), nil)
	if got.Unavailable != 1 || got.Unknown != 1 || got.Acknowledged != 2 {
		t.Errorf("got %+v", got)
	}
	calls := got.Calls
	if calls.Here[Create] != (Tally{1, 1}) || calls.Here[Read] != (Tally{1, 1}) || calls.There[Read] != (Tally{1, 0}) || calls.There[Update] != (Tally{1, 0}) {
		t.Errorf("got %+v", calls)
	}
	if calls.Reasons[NotHeld] != 1 || calls.Reasons[NoAnswer] != 1 {
		t.Errorf("got %v", calls.Reasons)
	}
}
