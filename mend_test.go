package perdure

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// stampedBy is a record with versions of the node at the times.
func stampedBy(t testing.TB, node uint32, born, changed Millis) Record {
	v := func(at Millis) Version { return Version{Time: uint64(at) << 16, Node: node} }
	c := content{userID: "u", username: "n"}
	c.mark(fieldRoles, v(changed))
	day := Millis((24 * time.Hour).Milliseconds())
	return Record{ID: NewID(0), Body: c.encode(), Header: Header{
		Kind: KindSession, Version: v(changed), Born: v(born), User: HashUser("u"),
		Expiry: born + day, Horizon: born + 7*day, LastAccess: changed,
	}}
}

// TestMendMovesAllThatIsReckonedFromAStamp, back and forth, inside bodies too.
func TestMendMovesAllThatIsReckonedFromAStamp(t *testing.T) {
	const now, wrong = Millis(1_800_000_000_000), 7
	for _, ahead := range []Millis{3_600_000, -3_600_000} {
		r := stampedBy(t, wrong, now+ahead-5000, now+ahead-3000)
		kept := stampedBy(t, wrong, now+ahead-5000, now+ahead-3000)
		tomb := entomb(kept, ReasonRotated, Version{Time: uint64(now+ahead-1000) << 16, Node: wrong})
		rotated := rotation{ids: []string{NewID(1)}, kept: kept}
		tomb.Body = rotated.encode()
		at := Version{Time: uint64(now+ahead-2000) << 16, Node: wrong}
		e := epoch{at: at, except: map[string]Version{"root": {Time: uint64(now-9000) << 16, Node: 1}}}
		end := e.record(HashUser("u"), at, at.Millis()+60_000)
		unknown := Record{ID: NewID(3), Header: Header{Kind: KindTombstone, Reason: ReasonLogout, Version: at, Horizon: at.Millis() + 5000}}
		m := Mender{Now: now, Ahead: ahead, Nodes: map[uint32]bool{wrong: true}}
		mend := func(r Record) Record {
			t.Helper()
			if err := m.Look(r); err != nil {
				t.Fatal(err)
			}
			mended, err := m.Mend(r)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := m.Mend(mended); err != nil || again != mended {
				t.Errorf("mended twice:\n%v\n%v, %v", mended, again, err)
			}
			return mended
		}
		session := func(r Record) {
			t.Helper()
			c, err := decodeContent(r.Body)
			want := stampedBy(t, r.Version.Node, now-5000, now-3000)
			want.ID, want.Body = r.ID, r.Body
			if r != want || err != nil || c.version(fieldRoles, r.Born) != want.Version || c.userID != "u" {
				t.Errorf("a session:\n%+v, %v\n%+v", r, err, want)
			}
		}
		session(mend(r))
		tomb = mend(tomb)
		rotated, err := decodeRotation(tomb)
		if err != nil {
			t.Fatal(err)
		}
		session(rotated.kept)
		if tomb.Version.Millis() != now-1000 || tomb.Horizon != rotated.kept.Horizon {
			t.Errorf("a tombstone: %+v", tomb)
		}
		end = mend(end)
		if e, err = decodeEpoch(end); err != nil {
			t.Fatal(err)
		}
		if e.at.Millis() != now-2000 || e.at != end.Version || end.Horizon != now+58_000 || e.except["root"].Millis() != now-9000 {
			t.Errorf("an epoch: %+v %+v", end, e)
		}
		if unknown = mend(unknown); unknown.Horizon != now+3000 || unknown.LastAccess != 0 || unknown.Expiry != 0 {
			t.Errorf("the tombstone of what nobody knew: %+v", unknown)
		}
	}
}

// TestMendKeepsTheOrder of what clocks have stamped of which nobody knows how they
// went, and brings none of it after now; what was right stays as it is.
func TestMendKeepsTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const now = Millis(1_800_000_000_000)
		m := Mender{Now: now, Adrift: map[uint32]bool{1: true}}
		var records []Record
		for range rapid.IntRange(1, 20).Draw(t, "records") {
			born := now + Millis(rapid.IntRange(-100_000, 100_000).Draw(t, "born"))
			node := uint32(rapid.IntRange(1, 2).Draw(t, "node"))
			r := stampedBy(nil, node, born, born+Millis(rapid.IntRange(0, 1000).Draw(t, "changed")))
			records = append(records, r)
			if err := m.Look(r); err != nil {
				t.Fatal(err)
			}
		}
		var was, is []Version
		for _, r := range records {
			mended, err := m.Mend(r)
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range [][2]Version{{r.Born, mended.Born}, {r.Version, mended.Version}} {
				if right := v[0].Node == 2 && v[0].Millis() <= now; right && v[1] != v[0] {
					t.Fatalf("%v was right and became %v", v[0], v[1])
				} else if !right {
					was, is = append(was, v[0]), append(is, v[1])
				}
				if v[1].Millis() > now {
					t.Fatalf("%v is after %d", v[1], now)
				}
			}
			if mended.Expiry-mended.Born.Millis() != r.Expiry-r.Born.Millis() || mended.LastAccess > max(now, mended.Born.Millis()) {
				t.Fatalf("%+v\nbecame %+v", r, mended)
			}
		}
		for i := range was {
			for j := range was {
				if was[i].Compare(was[j]) != is[i].Compare(is[j]) {
					t.Fatalf("%v, %v became %v, %v", was[i], was[j], is[i], is[j])
				}
			}
		}
	})
}

// TestMendAccessed: of a session that was there before, only the touch is moved.
func TestMendAccessed(t *testing.T) {
	const now = Millis(1_800_000_000_000)
	for ahead, cases := range map[Millis][][3]Millis{
		// stored, noted by the wrong clock, mended
		90_000:  {{now + 89_000, now + 89_000, now - 1000}},
		-90_000: {{now - 100_000, now - 100_000, now - 10_000}, {now - 50_000, now - 95_000, now - 5000}, {now - 1000, now - 95_000, now - 1000}},
	} {
		for _, c := range cases {
			r := stampedBy(t, 2, now-200_000, now-200_000)
			r.LastAccess = c[0]
			m := Mender{Now: now, Ahead: ahead, Nodes: map[uint32]bool{1: true}, Accessed: map[string]Millis{r.ID: c[1]}}
			mended, err := m.Mend(r)
			if err != nil || mended.LastAccess != c[2] {
				t.Errorf("%d ahead: %v became %d, %v", ahead, c, mended.LastAccess, err)
			}
		}
	}
}
