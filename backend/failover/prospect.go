package failover

import (
	"fmt"
	"time"
)

// prospect is what is done in the outage, by the policy and the state, and what to do.
func (b *Backend) prospect(st *status) string {
	switch {
	case !st.state.outage():
		return "nothing is to be done: sessions are served by Redis, and what waits is merged"
	case b.opts.Outage == OutageRefuse:
		return "repair Redis: all calls are refused until Redis is back, as the policy for outages asks"
	case b.opts.Outage == OutageReadOnly:
		return "repair Redis: sessions are read from here until Redis is back, and writes are refused, as the policy for outages asks"
	case st.state == ReadOnly:
		return "repair Redis, and the disk of the journal: sessions are read from here, and logins are refused until there is room"
	}
	return "repair Redis: sessions are served meanwhile, and what is written is merged when Redis is back"
}

// waiting says what has to wait although the front store is served from; empty if
// nothing has to.
func (b *Backend) waiting(st *status) string {
	if st.state.outage() || !b.doubted() && !b.filling() {
		return ""
	}
	what, open := "ids that nobody knows are unavailable", st.doubt != "" || b.doubts.Load() != nil
	if open || b.lacking() {
		what = "lists of sessions, and " + what
	}
	why, until := "Redis may have lost data", "until what was lost is given back"
	switch {
	case open:
	case b.filling():
		why = "a process gives back what Redis has lost"
		until = "until it is done"
	default:
		until = "until " + st.graceUntil.UTC().Format(time.RFC3339) + ", so that other processes can give it back"
	}
	return fmt.Sprintf("%s: %s, %s", why, what, until)
}

// count is a number of things.
func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
