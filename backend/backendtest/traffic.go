package backendtest

import (
	"math/rand/v2"

	"github.com/perdure/perdure"
)

// traffic is what others write between the pages of a listing.
type traffic struct {
	r       *rig
	user    perdure.UserKey
	steady  []perdure.Record // touched and changed, but not in their expiry
	passing []perdure.Record // they come, move and go
	dice    *rand.Rand
}

func newTraffic(r *rig, u perdure.UserKey, steady []perdure.Record) *traffic {
	return &traffic{r: r, user: u, steady: steady, dice: rand.New(rand.NewPCG(1, 2))}
}

// pass lets some of it pass.
func (t *traffic) pass() {
	t.r.t.Helper()
	for range t.dice.IntN(3) {
		t.stir(&t.steady[t.dice.IntN(len(t.steady))])
	}
	for range t.dice.IntN(3) {
		t.come()
	}
	for i := range t.passing {
		t.move(&t.passing[i])
	}
	for len(t.passing) > 0 && t.dice.IntN(3) > 0 {
		gone := t.passing[0]
		t.passing = t.passing[1:]
		t.r.applied(remove(gone.ID, t.r.version(), perdure.ReasonLogout))
	}
}

func (t *traffic) stir(session *perdure.Record) {
	t.r.t.Helper()
	session.LastAccess += perdure.Millis(t.dice.IntN(5000))
	w := touch(session.ID, session.LastAccess)
	if t.dice.IntN(3) == 0 {
		next := t.r.changed(*session)
		w = put(next, session.Version)
		*session = next
	}
	t.r.applied(w)
}

func (t *traffic) come() {
	t.r.t.Helper()
	session := t.r.session(t.user)
	session.Expiry += perdure.Millis(t.dice.IntN(15_000))
	t.passing = append(t.passing, t.r.create(session))
}

func (t *traffic) move(session *perdure.Record) {
	t.r.t.Helper()
	next := t.r.changed(*session)
	next.Expiry += perdure.Millis(t.dice.IntN(10_000) - 5000)
	t.r.applied(put(next, session.Version))
	*session = next
}
