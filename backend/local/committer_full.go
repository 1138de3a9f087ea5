package local

import "github.com/perdure/perdure"

// reserve makes the reserve if there is none: with the first commit, and again when there
// is room. Where it cannot be made the file takes nothing but what ends sessions.
func (c *committer) reserve() {
	f := c.b.file
	if f.reserved || f.reserve == 0 {
		c.full = nil
		return
	}
	if c.full = f.makeReserve(); c.full != nil {
		c.note(c.full)
	}
}

// openReserve gives the room that is reserved to those of a group that end sessions,
// after the file has refused the group as a whole. The others have failed.
func (c *committer) openReserve(group []*request, why error) {
	var ends []*request
	for _, r := range group {
		if c.endsAlone(r) {
			ends = append(ends, r)
		}
	}
	f := c.b.file
	if len(ends) == 0 || !f.reserved || f.failed != nil || f.freeReserve() != nil {
		return
	}
	c.full = why
	c.divide(ends)
}

// carryOutEnds carries out those of a group that end sessions, and refuses the others.
// But a ping, and a write that needs room, finds out first whether there is some again.
func (c *committer) carryOutEnds(group []*request) {
	var ends, rest []*request
	for _, r := range group {
		if r.cmd.deferred() || c.endsAlone(r) {
			ends = append(ends, r)
		} else {
			rest = append(rest, r)
		}
	}
	if len(rest) > 0 {
		if c.reserve(); c.full == nil {
			if err := c.carryOut(group); err != nil {
				c.openReserve(group, err)
			}
			return
		}
	}
	for _, r := range rest {
		r.err = c.full
	}
	c.divide(ends)
}

// divide carries out a group, and if there is no room for so much at a time, its halves.
func (c *committer) divide(group []*request) {
	if len(group) == 0 || c.carryOut(group) == nil || len(group) == 1 || c.b.file.failed != nil {
		return
	}
	c.divide(group[:len(group)/2])
	c.divide(group[len(group)/2:])
}

// endsAlone reports whether a command can be carried out again after it has failed, and
// would write nothing but what ends sessions, or takes no more room than what is there.
// Nothing of it stays.
func (c *committer) endsAlone(r *request) bool {
	switch r.cmd.(type) {
	case syncCommand, checkCommand, *replaceCommand:
		return true
	case *batchCommand, *removalCommand:
	default:
		return false
	}
	s := c.stage()
	r.cmd.run(s)
	c.b.bytes.Add(-s.bytes)
	for _, m := range s.muts {
		if m.new != nil && m.new.Kind == perdure.KindSession {
			return false
		}
	}
	return true
}
