package chaos

import (
	"slices"
	"testing"
	"time"
)

// The checker finds what is wrong in a history, and nothing in one that is right.
func TestCheck(t *testing.T) {
	begin := time.Now()
	at := func(seconds float64) time.Time { return begin.Add(time.Duration(seconds * float64(time.Second))) }
	op := func(kind Kind, node int, start float64, outcome Outcome, live bool) Op {
		o := Op{Request: Request{Kind: kind, ID: "s"}, Node: node, Start: at(start), End: at(start + 0.1)}
		o.Reply = Reply{Kind: kind, ID: "s", Outcome: outcome, Live: live, Expiry: at(100)}
		if kind == Create {
			o.ID, o.User = "", "u"
		}
		if kind == Update {
			o.Key, o.Value = "k", 2
		}
		return o
	}
	revoke := op(Revoke, 0, 5, Acknowledged, false)
	revoke.ID, revoke.User = "", "u"
	created := op(Create, 0, 0, Acknowledged, true)
	early := op(Read, 1, 100.5, Acknowledged, true)
	alive, gone, silent := op(Read, 1, 30, Acknowledged, true), op(Read, 1, 30, Acknowledged, false), op(Read, 1, 30, Unknown, false)
	changed := alive
	changed.Reply.Metadata = map[string]int{"k": 2}
	for name, c := range map[string]struct {
		history []Op
		final   Op
		want    Verdict
	}{
		"a life":                       {[]Op{op(Read, 1, 1, Acknowledged, true)}, alive, Verdict{}},
		"lost":                         {nil, gone, Verdict{Lost: 1}},
		"not answered":                 {nil, silent, Verdict{Lost: 1}},
		"removed":                      {[]Op{op(Delete, 0, 5, Acknowledged, true)}, gone, Verdict{}},
		"perhaps removed":              {[]Op{op(Delete, 0, 5, Unknown, false)}, alive, Verdict{}},
		"revoked":                      {[]Op{revoke}, gone, Verdict{}},
		"resurrected":                  {[]Op{op(Delete, 0, 5, Acknowledged, true)}, alive, Verdict{Resurrected: 1}},
		"resurrected after revocation": {[]Op{revoke}, alive, Verdict{Resurrected: 1}},
		"resurrected at once":          {[]Op{op(Delete, 1, 11, Acknowledged, true), op(Read, 1, 12, Acknowledged, true)}, gone, Verdict{Resurrected: 1}},
		"cut off from a removal":       {[]Op{op(Delete, 0, 11, Acknowledged, true), op(Read, 1, 12, Acknowledged, true)}, gone, Verdict{}},
		"not found":                    {[]Op{op(Touch, 1, 1, Acknowledged, false)}, alive, Verdict{NotFound: 1}},
		"unavailable":                  {[]Op{op(Touch, 1, 1, Unknown, false)}, alive, Verdict{}},
		"an update":                    {[]Op{op(Update, 1, 1, Acknowledged, true)}, changed, Verdict{}},
		"a lost update":                {[]Op{op(Update, 1, 1, Acknowledged, true)}, alive, Verdict{LostUpdates: 1}},
		"expired":                      {nil, early, Verdict{Expired: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			k := checker{struck: at(10), mended: at(20), settled: at(25)}
			got := k.check(slices.Concat([]Op{created}, c.history), []Op{c.final})
			got.Operations, got.Acknowledged, got.Unknown, got.Sessions = 0, 0, 0, 0
			if got.Examples = nil; got.Violations() != c.want.Violations() || got.Lost != c.want.Lost || got.Resurrected != c.want.Resurrected || got.NotFound != c.want.NotFound {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// The checker follows a session over its rotations: what was changed under an
// earlier id is to be there, and a logout of that ends what came of it.
func TestCheckFollowsRotations(t *testing.T) {
	begin := time.Now()
	at := func(seconds float64) time.Time { return begin.Add(time.Duration(seconds * float64(time.Second))) }
	op := func(kind Kind, node int, id string, start float64, live bool) Op {
		o := Op{Request: Request{Kind: kind, ID: id}, Node: node, Start: at(start), End: at(start + 0.1)}
		o.Reply = Reply{Kind: kind, ID: id, Outcome: Acknowledged, Live: live, Expiry: at(100)}
		return o
	}
	rotate := func(from, to string, start float64) Op {
		o := op(Rotate, 0, from, start, true)
		o.Reply.ID = to
		return o
	}
	update := func(id string, start float64, value int) Op {
		o := op(Update, 1, id, start, true)
		o.Key, o.Value = "k", value
		return o
	}
	read := func(id string, live bool, value int) Op {
		o := op(Read, 1, id, 30, live)
		o.Reply.Metadata = map[string]int{"k": value}
		return o
	}
	created := op(Create, 0, "", 0, true)
	created.User, created.Reply.ID = "u", "s1"
	revoke := op(Revoke, 1, "", 10.5, false)
	revoke.User = "u"
	unknown := rotate("s1", "", 11)
	unknown.Reply.Outcome, unknown.Reply.Live = Unknown, false
	chain := []Op{rotate("s1", "s2", 11), rotate("s2", "s3", 12)}
	for name, c := range map[string]struct {
		history, finals []Op
		want            Verdict
	}{
		"carried":                        {slices.Concat(chain, []Op{update("s1", 13, 2)}), []Op{read("s3", true, 2)}, Verdict{}},
		"not carried":                    {slices.Concat(chain, []Op{update("s1", 13, 2)}), []Op{read("s3", true, 1)}, Verdict{LostUpdates: 1}},
		"changed again under the new id": {slices.Concat(chain, []Op{update("s1", 13, 2), update("s3", 14, 3)}), []Op{read("s3", true, 3)}, Verdict{}},
		"the old id is dead":             {chain, []Op{read("s1", false, 0), read("s2", false, 0), read("s3", true, 0)}, Verdict{}},
		"the old id lives":               {chain, []Op{read("s1", true, 0), read("s3", true, 0)}, Verdict{Resurrected: 1}},
		"the new id is gone":             {chain, []Op{read("s3", false, 0)}, Verdict{Lost: 1}},
		"logout of the old id":           {slices.Concat(chain, []Op{op(Delete, 1, "s1", 13, true)}), []Op{read("s3", false, 0)}, Verdict{}},
		"logout of the old id, in vain":  {slices.Concat(chain, []Op{op(Delete, 1, "s1", 13, true)}), []Op{read("s3", true, 0)}, Verdict{Resurrected: 1}},
		"revoked before the rotation":    {slices.Concat(chain, []Op{revoke}), []Op{read("s3", true, 0)}, Verdict{Resurrected: 1}},
		"perhaps rotated":                {[]Op{unknown, update("s1", 13, 2)}, []Op{read("s1", false, 0)}, Verdict{}},
		"perhaps not rotated":            {[]Op{unknown, update("s1", 13, 2)}, []Op{read("s1", true, 1)}, Verdict{LostUpdates: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			k := checker{struck: at(10), mended: at(20), settled: at(25)}
			got := k.check(slices.Concat([]Op{created}, c.history), c.finals)
			if got.Violations() != c.want.Violations() || got.Lost != c.want.Lost || got.Resurrected != c.want.Resurrected || got.LostUpdates != c.want.LostUpdates {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}
