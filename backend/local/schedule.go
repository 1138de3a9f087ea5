package local

import "github.com/perdure/perdure"

// schedule says when entries are due: a binary heap whose entries know their
// place in it. The time of an entry may be too early, never too late: a session
// that is touched stays where it is, and is moved when its old time comes.
type schedule []appointment

type appointment struct {
	at    perdure.Millis
	entry *entry
}

// add enters an entry that is not in the schedule.
func (s *schedule) add(e *entry, at perdure.Millis) {
	*s = append(*s, appointment{})
	s.up(len(*s)-1, appointment{at, e})
}

// advance makes an entry due at a time, if that is before the one that it has.
func (s schedule) advance(e *entry, at perdure.Millis) {
	if at < s[e.place].at {
		s.up(int(e.place), appointment{at, e})
	}
}

// postpone makes an entry due at a time, which is after the one that it has.
func (s schedule) postpone(e *entry, at perdure.Millis) {
	s.down(int(e.place), appointment{at, e})
}

// remove takes an entry out.
func (s *schedule) remove(e *entry) {
	i, end := int(e.place), len(*s)-1
	old, last := (*s)[i], (*s)[end]
	(*s)[end] = appointment{}
	*s = (*s)[:end]
	switch {
	case i == end:
	case last.at < old.at:
		s.up(i, last)
	default:
		s.down(i, last)
	}
}

// until appends to due entries whose time has come by now, in no order, as long
// as there are fewer than limit. Start with i = 0.
func (s schedule) until(now perdure.Millis, limit int, i int, due []*entry) []*entry {
	if i >= len(s) || s[i].at > now || len(due) >= limit {
		return due
	}
	due = append(due, s[i].entry)
	due = s.until(now, limit, 2*i+1, due)
	return s.until(now, limit, 2*i+2, due)
}

// up puts a at place i or above.
func (s schedule) up(i int, a appointment) {
	for i > 0 {
		parent := (i - 1) / 2
		if s[parent].at <= a.at {
			break
		}
		s.put(i, s[parent])
		i = parent
	}
	s.put(i, a)
}

// down puts a at place i or below.
func (s schedule) down(i int, a appointment) {
	for {
		child := 2*i + 1
		if child >= len(s) {
			break
		}
		if right := child + 1; right < len(s) && s[right].at < s[child].at {
			child = right
		}
		if a.at <= s[child].at {
			break
		}
		s.put(i, s[child])
		i = child
	}
	s.put(i, a)
}

func (s schedule) put(i int, a appointment) {
	s[i] = a
	a.entry.place = int32(i)
}
