package perdure

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// said is all that a record says, but for the version of the record itself,
// which is new for each join.
type said struct {
	header   Header
	userID   string
	username string
	roles    string
	metadata string
	changes  string
	epoch    string
	body     string
}

func saidBy(t *rapid.T, r Record) said {
	s := said{header: r.Header}
	s.header.Version = Version{}
	switch r.Kind {
	case KindSession:
		c, err := decodeContent(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		metadata, _ := c.metadata.MarshalJSON()
		s.userID, s.username, s.roles = c.userID, c.username, fmt.Sprint(c.roles)
		s.metadata, s.changes = string(metadata), fmt.Sprint(c.changes)
	case KindEpoch:
		e, err := decodeEpoch(r)
		if err != nil {
			t.Fatal(err)
		}
		s.epoch = fmt.Sprint(e.at, e.except)
	default:
		rotated, err := decodeRotation(r)
		if err != nil {
			t.Fatal(err)
		}
		s.body = fmt.Sprint(rotated.ids)                   // what is kept too depends on who met whom first
		s.header.Expiry, s.header.ExpirySet = 0, Version{} // the dead have none: only the horizon counts
	}
	return s
}

// fork is one side of a partition.
type fork struct {
	clock  *Clock
	record Record
}

func newFork(node uint32, now Millis, r Record) *fork {
	c := NewClock(func() time.Time { return now.Time() })
	c.face.Load().node = node
	return &fork{clock: c, record: r}
}

var testKeys = []string{"a", "b", "c", "new"}

// step is one thing that can happen to a session on one side.
func (f *fork) step(t *rapid.T) {
	if f.record.Kind != KindSession {
		return
	}
	r := f.record
	c, err := decodeContent(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	version := f.clock.Tick(r.Version)
	var p Patch
	metadata := map[string]string{}
	switch rapid.IntRange(0, 10).Draw(t, "step") {
	case 0:
		name := rapid.SampledFrom([]string{"", "ann", "bob"}).Draw(t, "username")
		p.Username = &name
	case 1:
		p.Roles = rapid.SliceOfN(rapid.SampledFrom([]string{"user", "admin"}), 0, 2).Draw(t, "roles")
	case 2, 3:
		metadata[rapid.SampledFrom(testKeys).Draw(t, "key")] = rapid.SampledFrom([]string{"1", `"x"`, "null"}).Draw(t, "value")
	case 4:
		r.Expiry = r.Born.Millis() + Millis(rapid.IntRange(1, 1500).Draw(t, "expiry"))
		r.Promised = max(r.Promised, r.Expiry)
		r.setExpiry(version)
	case 5:
		f.record.LastAccess += Millis(rapid.IntRange(0, 50).Draw(t, "access"))
		return
	case 6:
		f.record = entomb(r, rapid.SampledFrom([]Reason{ReasonLogout, ReasonRevoked, ReasonUserRevoked}).Draw(t, "reason"), version)
		return
	case 7: // as for an id that nobody knows
		f.record = Record{ID: r.ID, Header: Header{Kind: KindTombstone, Reason: ReasonLogout, Version: version, Horizon: 9_000_000}}
		return
	case 8:
		f.record = entomb(r, ReasonRotated, version)
		f.record.Body = encodeSuccessors(fmt.Sprintf("successor-%s", version))
		return
	case 9, 10: // two removals do not fit
		metadata[rapid.SampledFrom(testKeys).Draw(t, "removed")] = "null"
		c.apply(&p, packMetadata(metadata), version)
		c.compact(20)
	}
	c.apply(&p, packMetadata(metadata), version)
	r.Version, r.Body = version, c.encode()
	f.record = r
}

// versionOf is that of a metadata key, whether it is there or not.
func versionOf(c *content, key string, born Version) Version {
	if _, ok := c.metadata.Raw(key); !ok {
		born = c.floor()
	}
	return c.version(fieldMetadata+key, born)
}

func testRecord(clock *Clock) Record {
	c := content{userID: "u", username: "john", roles: []string{"user"}, metadata: packMetadata(map[string]string{"a": "0", "b": "0"})}
	born := clock.Tick()
	return Record{ID: NewID(HashUser("u").Partition()), Body: c.encode(), Header: Header{
		Kind: KindSession, Version: born, Born: born, User: HashUser("u"),
		Expiry: born.Millis() + 1000, Promised: born.Millis() + 1000, Horizon: born.Millis() + 2000, LastAccess: born.Millis(),
	}}
}

func drawForks(t *rapid.T, n int) []*fork {
	base := testRecord(NewClock(func() time.Time { return time.UnixMilli(1_000_000) }))
	forks := make([]*fork, n)
	for i := range forks {
		// Clocks differ, so that versions interleave in every order.
		now := 1_000_000 + Millis(rapid.IntRange(0, 3).Draw(t, "clock"))
		forks[i] = newFork(uint32(i+1), now, base)
		for range rapid.IntRange(0, 4).Draw(t, "steps") {
			forks[i].step(t)
		}
	}
	return forks
}

func TestMergeIsASemilattice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		forks := drawForks(t, 3)
		a, b, c := forks[0].record, forks[1].record, forks[2].record
		checkSemilattice(t, forks[0].clock, a, b, c)
	})
}

// TestSweepsDecideNothing: whether and where what is over was swept, and in which order
// its records meet, a copy of a session lives on as it would without any sweep.
func TestSweepsDecideNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := testRecord(NewClock(func() time.Time { return time.UnixMilli(1_000_000) }))
		if rapid.Bool().Draw(t, "idle") {
			base.Idle = Millis(rapid.IntRange(100, 500).Draw(t, "idle timeout"))
		}
		var plain, swept []Record
		var clock *Clock
		ages := rapid.IntRange(0, 2000)
		now := 1_000_000 + Millis(ages.Draw(t, "now"))
		for i := range 3 {
			f := newFork(uint32(i+1), 1_000_000+Millis(rapid.IntRange(0, 3).Draw(t, "clock")), base)
			for range rapid.IntRange(0, 3).Draw(t, "steps") {
				if rapid.Bool().Draw(t, "used") {
					f.record.LastAccess += Millis(rapid.IntRange(0, 400).Draw(t, "access"))
					continue
				}
				f.change(t)
			}
			plain, clock = append(plain, f.record), f.clock
			if !f.record.Live(now) && rapid.Bool().Draw(t, "swept") {
				f.record = f.record.Lapse()
			}
			swept = append(swept, f.record)
		}
		all := func(records []Record, order []int) Record {
			joined := records[order[0]]
			for _, i := range order[1:] {
				joined = mustMerge(t, clock, joined, records[i])
			}
			return joined
		}
		without := all(plain, []int{0, 1, 2})
		few := len(slices.DeleteFunc(slices.Clone(swept), func(r Record) bool { return r.Kind == KindSession })) < 2 // else what both say of it may be lost
		for _, order := range [][]int{{0, 1, 2}, {1, 2, 0}, {2, 0, 1}, {0, 2, 1}, {2, 1, 0}, {1, 0, 2}} {
			with := all(swept, order)
			if with.Live(now) && !without.Live(now) || few && !with.Live(now) && without.Live(now) {
				t.Fatalf("in the order %v a session lives again, or no more, at %d:\n%+v\n%+v\n%+v\nmake %+v\nand without a sweep %+v", order, now, swept[0].Header, swept[1].Header, swept[2].Header, with.Header, without.Header)
			}
		}
	})
}

// change is a step that changes the expiry, or another field.
func (f *fork) change(t *rapid.T) {
	r := f.record
	c, err := decodeContent(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	p := Patch{Roles: []string{"r"}}
	if rapid.Bool().Draw(t, "expiry changes") {
		r.Expiry = r.Born.Millis() + Millis(rapid.IntRange(1, 2000).Draw(t, "expiry"))
		r.Promised = max(r.Promised, r.Expiry)
		p = Patch{}
	}
	if r.Version = f.clock.Tick(r.Version); p.Roles == nil {
		r.setExpiry(r.Version)
	}
	c.apply(&p, Metadata{}, r.Version)
	r.Body = c.encode()
	f.record = r
}

func TestEpochMergeIsASemilattice(t *testing.T) {
	epochOf := rapid.Custom(func(t *rapid.T) Record {
		version := func(label string) Version {
			return Version{Time: rapid.Uint64Range(0, 4).Draw(t, label), Node: rapid.Uint32Range(1, 2).Draw(t, label+"Node")}
		}
		e := epoch{at: version("at"), except: map[string]Version{}}
		for _, root := range rapid.SliceOfN(rapid.SampledFrom([]string{"r1", "r2", "r3"}), 0, 2).Draw(t, "except") {
			if floor := version("floor"); floor.Before(e.at) {
				e.except[root] = floor
			}
		}
		return Record{ID: EpochID(HashUser("u")), Body: e.encode(), Header: Header{Kind: KindEpoch, Version: e.at, Born: e.at, User: HashUser("u")}}
	})
	rapid.Check(t, func(t *rapid.T) {
		clock := NewClock(nil)
		a, b := epochOf.Draw(t, "a"), epochOf.Draw(t, "b")
		a.Born, b.Born = Version{Time: 1}, Version{Time: 1} // as it is with one writer of each version
		joined := mustMerge(t, clock, a, b)
		ea, _ := decodeEpoch(a)
		eb, _ := decodeEpoch(b)
		ej, _ := decodeEpoch(joined)
		for _, root := range []string{"r1", "r2", "r3", "other"} {
			for at := range uint64(6) {
				born := Version{Time: at, Node: 1}
				if got, want := ej.kills(root, born), ea.kills(root, born) || eb.kills(root, born); got != want {
					t.Fatalf("join of %v and %v kills %s born %v: %v, want %v", ea, eb, root, born, got, want)
				}
			}
		}
		checkSemilattice(t, clock, a, b, epochOf.Draw(t, "c"))
	})
}

func mustMerge(t *rapid.T, clock *Clock, a, b Record) Record {
	r, err := merge(a, b, clock, plainCodec{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func checkSemilattice(t *rapid.T, clock *Clock, a, b, c Record) {
	equal := func(law string, x, y Record) {
		t.Helper()
		if sx, sy := saidBy(t, x), saidBy(t, y); !reflect.DeepEqual(sx, sy) {
			t.Fatalf("%s:\n%+v\n%+v", law, sx, sy)
		}
	}
	ab := mustMerge(t, clock, a, b)
	equal("commutative", ab, mustMerge(t, clock, b, a))
	equal("associative", mustMerge(t, clock, ab, c), mustMerge(t, clock, a, mustMerge(t, clock, b, c)))
	equal("idempotent", a, mustMerge(t, clock, a, a))
	if again := mustMerge(t, clock, ab, b); again.Version != ab.Version && again.Kind != KindTombstone {
		t.Fatalf("merging what is already there makes a new version: %v, then %v", ab.Version, again.Version)
	}
	for _, side := range []Record{a, b} {
		same := reflect.DeepEqual(saidBy(t, ab), saidBy(t, side))
		if ab.Version == side.Version && !same && ab.Kind != KindTombstone && ab.LastAccess == side.LastAccess {
			t.Fatalf("two different records have version %v", ab.Version)
		}
	}
}

// TestMergeKeepsBothSides is law 4: disjoint changes survive, and of two changes
// to one field the later does.
func TestMergeKeepsBothSides(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		forks := drawForks(t, 2)
		a, b := forks[0].record, forks[1].record
		joined := mustMerge(t, forks[0].clock, a, b)
		if a.Kind != KindSession || b.Kind != KindSession {
			if joined.Kind != KindTombstone {
				t.Fatalf("a deleted session came back: %+v", joined)
			}
			if joined.Ended() != (a.Ended() || b.Ended()) {
				t.Fatalf("ended %v and %v make %v", a.Ended(), b.Ended(), joined.Ended())
			}
			return
		}
		ca, _ := decodeContent(a.Body)
		cb, _ := decodeContent(b.Body)
		cj, _ := decodeContent(joined.Body)
		for _, key := range testKeys {
			want, from := ca.metadata, versionOf(&ca, key, a.Born)
			if v := versionOf(&cb, key, b.Born); from.Before(v) {
				want, from = cb.metadata, v
			}
			wantRaw, wantOK := want.Raw(key)
			if raw, ok := cj.metadata.Raw(key); ok != wantOK || string(raw) != string(wantRaw) {
				t.Fatalf("metadata %s is %s (%v), want %s (%v) of version %v", key, raw, ok, wantRaw, wantOK, from)
			}
		}
		if joined.LastAccess != max(a.LastAccess, b.LastAccess) {
			t.Fatal("the last access went back")
		}
	})
}

func TestMergeRefusesMixedKinds(t *testing.T) {
	clock := NewClock(nil)
	session := testRecord(clock)
	epoch := Record{ID: session.ID, Header: Header{Kind: KindEpoch}}
	if _, err := merge(session, epoch, clock, plainCodec{}); err == nil {
		t.Fatal("a session and an epoch were merged")
	}
}

func TestTombstonesJoinSuccessors(t *testing.T) {
	clock := NewClock(nil)
	session := testRecord(clock)
	a, b := entomb(session, ReasonRotated, clock.Tick()), entomb(session, ReasonRotated, clock.Tick())
	a.Body, b.Body = encodeSuccessors("one"), encodeSuccessors("two")
	joined, err := merge(a, b, clock, plainCodec{})
	if err != nil {
		t.Fatal(err)
	}
	ids, err := successors(joined)
	if err != nil || !slices.Equal(ids, []string{"one", "two"}) {
		t.Fatalf("successors %v, %v", ids, err)
	}
	if joined.Version == a.Version || joined.Version == b.Version {
		t.Fatal("the join has the version of a side that it differs from")
	}
}
