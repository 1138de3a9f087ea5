package backendtest

import (
	"flag"
	"strconv"

	"github.com/perdure/perdure"
	"pgregory.net/rapid"
)

func propertyLaws() []law {
	return []law{
		{"KeepsTheContract", keepsTheContract, nil},
		{"FollowsTheFeedAcrossProcesses", followsTheFeedAcrossProcesses, nil},
	}
}

// property checks one that is tried as often as the configuration says, unless the
// command line does.
func (r *rig) property(check func(*rapid.T)) {
	const name = "rapid.checks"
	given := r.cfg.Checks == 0
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if !given {
		f := flag.Lookup(name)
		before := f.Value.String()
		defer func() { r.noError(f.Value.Set(before)) }()
		r.noError(f.Value.Set(strconv.Itoa(r.cfg.Checks)))
	}
	rapid.Check(r.test, check)
}

// keepsTheContract does random things to a few users' sessions, and to the
// model, and compares.
func keepsTheContract(r *rig) {
	r.property(func(t *rapid.T) {
		trial := newTrial(r.longAgo().under(t), t)
		t.Repeat(trial.actions())
		trial.finish()
	})
}

// trial is one run of the property.
type trial struct {
	*rig
	rt    *rapid.T
	model *model
	now   perdure.Millis // of sweeps and touches: it only goes on
	users []perdure.UserKey
	ids   map[perdure.UserKey][]string
	all   []string
	feed  *watch
	told  []perdure.Change
}

func newTrial(r *rig, t *rapid.T) *trial {
	far := r.in(3*week) + 2*r.skew() + 1
	r.drain(r.a, far, 100) // what a failed run has left
	tr := &trial{rig: r, rt: t, now: r.in(0), ids: map[perdure.UserKey][]string{}, model: &model{
		records: map[string]perdure.Record{}, skew: r.skew(),
	}}
	first := r.user()
	tr.users = []perdure.UserKey{first, r.made.neighbour(first), r.user()}
	for _, u := range tr.users {
		tr.ids[u] = []string{r.id(u), r.id(u), r.id(u), r.alien(u), perdure.NewOutageID(u.Partition(), r.wall.read())}
		tr.all = append(tr.all, tr.ids[u]...)
	}
	tr.feed = r.watch(r.a)
	return tr
}

func (tr *trial) actions() map[string]func(*rapid.T) {
	return map[string]func(*rapid.T){
		"create": tr.create,
		"update": tr.update,
		"bury":   tr.bury,
		"touch":  tr.touch,
		"remove": tr.remove,
		"rotate": tr.rotate,
		"many":   tr.many,
		"epoch":  tr.epoch,
		"revoke": tr.revoke,
		"sweep":  tr.sweep,
		"load":   tr.load,
		"list":   tr.list,
		"scan":   tr.scan,
		"follow": tr.follow,
	}
}

// backend is either, but where Get may be behind other processes all calls go
// through one, which is never behind its own.
func (tr *trial) backend() perdure.Backend {
	if tr.cfg.Stale || rapid.Bool().Draw(tr.rt, "first backend") {
		return tr.a
	}
	return tr.b
}

// do carries a batch out on both sides and compares.
func (tr *trial) do(batch ...perdure.Write) {
	tr.t.Helper()
	got := tr.apply(tr.backend(), batch)[0]
	if v := tr.model.apply(batch); !v.allows(got) {
		tr.t.Fatalf("%s:\n  got  %s\n  want %s with one of %v", showBatch(batch), showResult(got), showOutcome(v.outcome), v.met)
	}
	for _, w := range batch {
		tr.check(w.Record.ID)
	}
}

// check compares what is stored under an id.
func (tr *trial) check(id string) {
	tr.t.Helper()
	tr.noError(finds(tr.rig, tr.backend(), id, tr.model.records[id]))
}

// finish compares all that is left, the feed, and what a last sweep leaves.
func (tr *trial) finish() {
	tr.t.Helper()
	for _, id := range tr.all {
		tr.check(id)
	}
	for _, u := range tr.users {
		tr.check(perdure.EpochID(u))
		tr.lists("the user's sessions", u, 3, tr.model.sessions(u))
	}
	far := tr.rig.in(3*week) + 2*tr.skew() + 1
	tr.now = max(tr.now, far)
	tr.sweepTo(tr.now)
	tr.wantSame("a scan of what is past its horizon", tr.rig.scan(tr.b, perdure.ScanQuery{Limit: 10, Dead: true}), nil)
	tr.told = append(tr.told, tr.feed.read(100)...)
	tr.noError(explain(tr.told, tr.model.feed))
}

func (tr *trial) sweepTo(now perdure.Millis) {
	tr.t.Helper()
	limit := rapid.IntRange(1, 30).Draw(tr.rt, "limit")
	if got, want := tr.drain(tr.backend(), now, limit), tr.model.sweep(now); got != want {
		tr.t.Fatalf("a sweep at %d expired %d sessions, want %d", now, got, want)
	}
}

// followsTheFeedAcrossProcesses reads the feed in pieces, each through another
// backend, from any earlier cursor, while sessions come and go.
func followsTheFeedAcrossProcesses(r *rig) {
	r.property(func(t *rapid.T) {
		r := r.under(t)
		u := r.user()
		first := r.watch(r.a)
		cursors, read := []string{first.next}, []int{0}
		var told []expected
		var stored []perdure.Record
		t.Repeat(map[string]func(*rapid.T){
			"create": func(t *rapid.T) {
				session := r.create(r.session(u))
				stored = append(stored, session)
				told = append(told, change(perdure.Created, 0, session))
			},
			"update": func(t *rapid.T) {
				if len(stored) == 0 {
					t.Skip("nothing is stored")
				}
				i := rapid.IntRange(0, len(stored)-1).Draw(t, "session")
				next := r.changed(stored[i])
				r.applied(put(next, stored[i].Version))
				stored[i] = next
				told = append(told, change(perdure.Updated, 0, next))
			},
			"read": func(t *rapid.T) {
				i := rapid.IntRange(0, len(cursors)-1).Draw(t, "cursor")
				w := &watch{r: r, b: r.either(i + len(told)), next: cursors[i]}
				n := read[i] + len(w.batch(rapid.IntRange(1, 5).Draw(t, "limit")).Changes)
				cursors, read = append(cursors, w.next), append(read, n)
				if rest := w.read(rapid.IntRange(3, 30).Draw(t, "rest")); n+len(rest) != len(told) {
					t.Fatalf("from cursor %d the feed tells of %d changes, want %d", i, n+len(rest), len(told))
				}
			},
		})
		r.noError(explain(first.read(4), told))
	})
}
