package chaos

import "maps"

// Calls is how calls were answered while something was broken.
type Calls struct {
	// Here are those about sessions that the process made itself, or about none,
	// and There those about what another process made.
	Here, There map[Kind]Tally
	Reasons     map[Reason]int // of calls that were not answered well
}

// Tally counts calls, and those that were answered well.
type Tally struct{ Asked, Answered int }

// Share is the share of calls that were answered well, in percent.
func (t Tally) Share() float64 { return 100 * float64(t.Answered) / float64(max(t.Asked, 1)) }

func (c *Calls) ready() {
	if c.Here == nil {
		c.Here, c.There, c.Reasons = map[Kind]Tally{}, map[Kind]Tally{}, map[Reason]int{}
	}
}

func (c *Calls) add(op *Op, elsewhere bool) {
	c.ready()
	tallies, t := c.Here, Tally{Asked: 1}
	if elsewhere {
		tallies = c.There
	}
	if op.Reply.Outcome == Acknowledged {
		t.Answered = 1
	} else {
		c.Reasons[op.Reply.Why]++
	}
	tallies[op.Kind] = tallies[op.Kind].plus(t)
}

// sum adds others.
func (c *Calls) sum(o Calls) {
	c.ready()
	for reason, n := range o.Reasons {
		c.Reasons[reason] += n
	}
	for kind, t := range o.Here {
		c.Here[kind] = c.Here[kind].plus(t)
	}
	for kind, t := range o.There {
		c.There[kind] = c.There[kind].plus(t)
	}
}

func (t Tally) plus(o Tally) Tally { return Tally{t.Asked + o.Asked, t.Answered + o.Answered} }

// all is here and there together.
func (c *Calls) all() (t Tally) {
	for _, m := range []map[Kind]Tally{c.Here, c.There} {
		for one := range maps.Values(m) {
			t = t.plus(one)
		}
	}
	return t
}
