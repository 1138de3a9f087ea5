package perdure

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func drawHeader(t *rapid.T) Header {
	millis := func(label string) Millis { return Millis(rapid.Int64Range(0, int64(MaxMillis)).Draw(t, label)) }
	version := func(label string) Version {
		return Version{Time: rapid.Uint64().Draw(t, label), Node: rapid.Uint32().Draw(t, label)}
	}
	h := Header{
		Kind:    rapid.SampledFrom([]Kind{KindSession, KindTombstone, KindEpoch}).Draw(t, "kind"),
		Reason:  Reason(rapid.Byte().Draw(t, "reason")),
		Version: version("version"), Born: version("born"),
		Expiry: millis("expiry"), Horizon: millis("horizon"), LastAccess: millis("lastAccess"), Idle: millis("idle"), Promised: millis("promised"),
		Parent: rapid.StringMatching(`([A-Za-z0-9_-]{16,128})?`).Draw(t, "parent"),
	}
	if rapid.Bool().Draw(t, "the expiry was set") {
		h.ExpirySet = version("expiry set")
	}
	if rapid.Bool().Draw(t, "user is known") {
		h.User = HashUser(rapid.String().Draw(t, "user"))
	}
	return h
}

func TestRecordRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Record{ID: "id", Header: drawHeader(t), Body: string(rapid.SliceOf(rapid.Byte()).Draw(t, "body"))}
		value := want.Append(nil)
		if len(value) != want.EncodedSize() {
			t.Fatalf("EncodedSize says %d and Append makes %d bytes", want.EncodedSize(), len(value))
		}
		got, err := DecodeRecord("id", string(value))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("got %+v (%v), want %+v", got, err, want)
		}
	})
}

func TestRecordOfANewerFormatIsRefused(t *testing.T) {
	r := testRecord(NewClock(nil))
	value := r.Append(nil)
	value[0] = recordFormat + 1
	_, err := DecodeRecord(r.ID, string(value))
	if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), "format 2") || !strings.Contains(err.Error(), "later release") {
		t.Fatalf("got %v", err)
	}
}

func FuzzDecodeRecord(f *testing.F) {
	r := testRecord(NewClock(nil))
	f.Add(string(r.Append(nil)))
	r.Parent, r.ExpirySet = r.ID, r.Version
	f.Add(string(r.Append(nil)))
	f.Add("")
	f.Add("\x01")
	f.Fuzz(func(t *testing.T, value string) {
		r, err := DecodeRecord("id", value)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("%v is not an ErrFormat", err)
			}
			return
		}
		again, err := DecodeRecord("id", string(r.Append(nil)))
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%+v became %+v (%v)", r, again, err)
		}
	})
}

func FuzzDecodeContent(f *testing.F) {
	clock := NewClock(nil)
	c := content{userID: "u", username: "n", roles: []string{"r"}, metadata: packMetadata(map[string]string{"k": `"v"`})}
	f.Add(c.encode())
	c.root = "root"
	c.mark(fieldMetadata+"k", clock.Tick())
	f.Add(c.encode())
	c.mark(fieldMetadata+"gone", clock.Tick())
	c.compact(0)
	f.Add(c.encode())
	f.Add(c.encode() + "\x00" + string(make([]byte, versionSize))) // a field without a name
	f.Fuzz(func(t *testing.T, body string) {
		c, err := decodeContent(body)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("%v is not an ErrFormat", err)
			}
			return
		}
		c.metadata.Len()
		c.compact(0)
		if _, err := decodeContent(c.encode()); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzDecodeChange(f *testing.F) {
	c := Change{Kind: Deleted, Reason: ReasonLogout, ID: NewID(7), User: HashUser("u"), Version: Version{Time: 9, Node: 8}}
	f.Add(string(c.Append(nil)))
	f.Fuzz(func(t *testing.T, s string) {
		c, err := DecodeChange(s)
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("%v is not an ErrFormat", err)
			}
			return
		}
		if again, err := DecodeChange(string(c.Append(nil))); err != nil || again != c {
			t.Fatalf("%+v became %+v (%v)", c, again, err)
		}
	})
}

func FuzzDecodeEpoch(f *testing.F) {
	e := epoch{at: Version{Time: 1, Node: 2}, except: map[string]Version{"root": {Time: 1, Node: 1}}}
	f.Add(e.encode())
	f.Fuzz(func(t *testing.T, body string) {
		e, err := decodeEpoch(Record{Header: Header{Kind: KindEpoch}, Body: body})
		if err != nil {
			return
		}
		if again, err := decodeEpoch(Record{Header: Header{Kind: KindEpoch}, Body: e.encode()}); err != nil || !again.equal(&e) {
			t.Fatalf("%+v became %+v (%v)", e, again, err)
		}
	})
}

func FuzzDecodeRotation(f *testing.F) {
	session := testRecord(NewClock(nil))
	for _, r := range []rotation{{}, {ids: []string{"one", "two"}}, {ids: []string{"one"}, kept: session}, {kept: session}} {
		f.Add(r.encode())
	}
	f.Add("\x00")
	f.Fuzz(func(t *testing.T, body string) {
		r, err := decodeRotation(Record{ID: session.ID, Body: body})
		if err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Fatalf("%v is not an ErrFormat", err)
			}
			return
		}
		again, err := decodeRotation(Record{ID: session.ID, Body: r.encode()})
		if err != nil || !reflect.DeepEqual(again, r) {
			t.Fatalf("%+v became %+v (%v)", r, again, err)
		}
	})
}

func FuzzParseVersion(f *testing.F) {
	f.Add("0192f3a4b5c600019f3a2b1c")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVersion(s)
		if err != nil {
			if !errors.Is(err, ErrInvalid) || len(err.Error()) > 300 {
				t.Fatalf("%v", err)
			}
			return
		}
		if again, err := ParseVersion(v.String()); err != nil || again != v {
			t.Fatalf("%v became %v (%v)", v, again, err)
		}
	})
}

func FuzzID(f *testing.F) {
	for _, id := range []string{NewID(0), NewOutageID(9, time.Unix(1e9, 0)), EpochID(HashUser("u")), "123e4567-e89b-12d3-a456-426614174000", "", "\x00"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if p := PartitionOf(id); p < 0 || p >= Partitions {
			t.Fatalf("partition %d", p)
		}
		err := CheckID(id)
		if _, minted := OutageTime(id); minted && len(id) != outageIDLen {
			t.Fatalf("%q was not minted in an outage", id)
		}
		if err != nil && (!errors.Is(err, ErrInvalid) || len(err.Error()) > 300) {
			t.Fatal(err)
		}
		if err == nil && isEpochID(id) {
			t.Fatalf("%q is both a session's id and an epoch's", id)
		}
	})
}

func TestVersionTextKeepsTheOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		version := func(label string) Version {
			return Version{Time: rapid.Uint64().Draw(t, label), Node: rapid.Uint32().Draw(t, label)}
		}
		a, b := version("a"), version("b")
		if !a.IsZero() && !b.IsZero() && a.Compare(b) != strings.Compare(a.String(), b.String()) {
			t.Fatalf("%v and %v", a, b)
		}
	})
}

func TestClockNeverGoesBack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := time.UnixMilli(1_000_000)
		clock := NewClock(func() time.Time { return now })
		var last Version
		for range 50 {
			now = now.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "step")) * time.Millisecond)
			seen := Version{Time: uint64(MillisOf(now)+Millis(rapid.IntRange(-5, 5).Draw(t, "seen")))<<16 | 0xffff, Node: rapid.Uint32().Draw(t, "node")}
			v := clock.Tick(seen)
			if !last.Before(v) || !seen.Before(v) || v.Millis() < MillisOf(now) {
				t.Fatalf("at %v, after %v and having seen %v: %v", now, last, seen, v)
			}
			last = v
		}
	})
}

func TestClockFollowsTimeThatIsSetBack(t *testing.T) {
	now := time.UnixMilli(100_000_000)
	clock := NewClock(func() time.Time { return now })
	before := clock.Tick()
	now = now.Add(-2 * time.Hour)
	after := clock.Tick()
	if after.Millis() != MillisOf(now) || after.Node == before.Node {
		t.Errorf("at %d, after %v: %v", MillisOf(now), before, after)
	}
	// What was written before is still later than nothing that replaces it.
	if v := clock.Tick(before); !before.Before(v) {
		t.Errorf("%v does not come after %v", v, before)
	}
	if v := clock.Tick(); v.Millis() != MillisOf(now) {
		t.Errorf("the clock has run ahead to %v at %d", v, MillisOf(now))
	}
}

func TestIDs(t *testing.T) {
	seen := map[string]bool{}
	for i := range Partitions {
		id := NewID(i)
		if len(id) != nativeIDLen || seen[id] || CheckID(id) != nil || PartitionOf(id) != i {
			t.Fatalf("partition %d: id %q in partition %d, %v", i, id, PartitionOf(id), CheckID(id))
		}
		seen[id] = true
	}
	perPartition := map[int]int{}
	for i := range 100 * Partitions {
		user := HashUser(time.UnixMilli(int64(i)).String())
		if len(user) != userKeyLen || PartitionOf(NewID(user.Partition())) != user.Partition() || PartitionOf(EpochID(user)) != user.Partition() {
			t.Fatalf("user key %q: partition %d", user, user.Partition())
		}
		perPartition[user.Partition()]++
	}
	for p := range Partitions {
		if n := perPartition[p]; n < 40 || n > 180 {
			t.Errorf("partition %d has %d of a mean of 100 users", p, n)
		}
	}
}

func TestForeignIDs(t *testing.T) {
	for _, id := range []string{"123e4567-e89b-12d3-a456-426614174000", strings.Repeat("Z", 16), strings.Repeat("_-", 64)} {
		if err := CheckID(id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
		if p := PartitionOf(id); p < 0 || p >= Partitions {
			t.Errorf("%q: partition %d", id, p)
		}
	}
	for _, id := range []string{"", "short", strings.Repeat("a", 15), strings.Repeat("a", 129), strings.Repeat("a", 16) + ":", strings.Repeat("a", 16) + "*", "has a space here!!", strings.Repeat("é", 16), EpochID(HashUser("u")), strings.Repeat("x", 1<<20)} {
		err := CheckID(id)
		if !errors.Is(err, ErrInvalid) || len(err.Error()) > 200 {
			t.Errorf("%q: %v", clip(id), err)
		}
	}
}

func TestWhatAnIDMayHave(t *testing.T) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for c := range 256 {
		id := strings.Repeat("a", 15) + string([]byte{byte(c)})
		if err := CheckID(id); (err == nil) != strings.Contains(alphabet, id[15:]) {
			t.Errorf("with the character %q: %v", id[15:], err)
		}
	}
}

func TestMetadata(t *testing.T) {
	m, err := newMetadata(map[string]any{
		"theme": "dark", "n": json.RawMessage(" 12345678901234567890 "), "nested": map[string]any{"a": []int{1}}, "quote\"": nil,
	})
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(m)
	if want := `{"n":12345678901234567890,"nested":{"a":[1]},"quote\"":null,"theme":"dark"}`; err != nil || string(b) != want {
		t.Fatalf("got %s (%v), want %s", b, err, want)
	}
	if m.Len() != 4 || m.String("theme") != "dark" || m.String("n") != "" || m.String("none") != "" {
		t.Fatalf("%d keys, theme %q", m.Len(), m.String("theme"))
	}
	var nested struct{ A []int }
	if ok, err := m.Decode("nested", &nested); !ok || err != nil || !slices.Equal(nested.A, []int{1}) {
		t.Fatalf("nested is %+v, %v, %v", nested, ok, err)
	}
	if b, err := json.Marshal(Metadata{}); err != nil || string(b) != "{}" {
		t.Fatalf("the empty object is %s, %v", b, err)
	}
}

func TestMetadataLimits(t *testing.T) {
	nest := func(levels int) json.RawMessage {
		return json.RawMessage(strings.Repeat("[", levels) + strings.Repeat("]", levels))
	}
	if _, err := newMetadata(map[string]any{"k": nest(31)}); err != nil {
		t.Errorf("32 levels: %v", err)
	}
	for name, value := range map[string]any{
		"33 levels": nest(32), "not JSON": json.RawMessage("{"), "no JSON form": make(chan int),
	} {
		if _, err := newMetadata(map[string]any{"k": value}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "metadata.k") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := depth([]byte(`{"a":"[[[[\"[[","b":[1,{"c":[]}]}`)); got != 4 {
		t.Errorf("depth %d, want 4", got)
	}
}
