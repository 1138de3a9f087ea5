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
