package migrate

import (
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure"
)

// Filter says which sessions to look at: those that meet all that is set. The
// zero Filter is all of them.
type Filter struct {
	// Users are the keys of users, as perdure.HashUser or a codec makes them.
	Users []perdure.UserKey
	// IDs are the sessions' own.
	IDs []string
	// CreatedAfter and CreatedBefore bound the time of creation, that itself not
	// included.
	CreatedAfter, CreatedBefore time.Time
}

// matcher is a Filter made ready.
type matcher struct {
	users, ids map[string]bool // nil for all
	from, to   perdure.Millis  // 0 for no bound
}

func (f *Filter) matcher() matcher {
	m := matcher{}
	if !f.CreatedAfter.IsZero() {
		m.from = perdure.MillisOf(f.CreatedAfter)
	}
	if !f.CreatedBefore.IsZero() {
		m.to = perdure.MillisOf(f.CreatedBefore)
	}
	if len(f.IDs) > 0 {
		m.ids = map[string]bool{}
		for _, id := range f.IDs {
			m.ids[id] = true
		}
	}
	if len(f.Users) > 0 {
		m.users = map[string]bool{}
		for _, user := range f.Users {
			m.users[string(user)] = true
		}
	}
	return m
}

// takes reports whether a record passes. The end of a session passes whenever
// the session was created: nothing may bring it back elsewhere.
func (m *matcher) takes(r *perdure.Record) bool {
	switch {
	case m.ids != nil && !m.ids[r.ID]:
		return false
	case m.users != nil && !m.users[string(r.User)] && (r.User != "" || r.Kind == perdure.KindSession):
		return false
	case r.Kind != perdure.KindSession:
		return true
	}
	created := r.Born.Millis()
	return (m.from == 0 || created > m.from) && (m.to == 0 || created < m.to)
}

// String tells filters apart, for a checkpoint.
func (f *Filter) String() string {
	users := make([]string, len(f.Users))
	for i, user := range f.Users {
		users[i] = string(user)
	}
	bound := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339Nano)
	}
	return strings.Join([]string{
		strings.Join(slices.Sorted(slices.Values(users)), ","), strings.Join(slices.Sorted(slices.Values(f.IDs)), ","),
		bound(f.CreatedAfter), bound(f.CreatedBefore),
	}, ";")
}
