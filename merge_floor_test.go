package perdure

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestCompaction: a removal that was dropped holds against what is older, on whichever
// side it comes, and not against what is later; the floor never goes down.
func TestCompaction(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawForks(t, 1)[0]
		if f.record.Kind != KindSession {
			return
		}
		c, err := decodeContent(f.record.Body)
		if err != nil {
			t.Fatal(err)
		}
		before := c
		before.changes = slices.Clone(c.changes)
		c.compact(rapid.IntRange(0, 60).Draw(t, "most"))
		if c.floor().Before(before.floor()) || f.record.Version.Before(c.floor()) {
			t.Fatalf("the floor goes from %v to %v in a record of %v", before.floor(), c.floor(), f.record.Version)
		}
		for _, key := range testKeys {
			was, is := versionOf(&before, key, f.record.Born), versionOf(&c, key, f.record.Born)
			_, present := c.metadata.Raw(key)
			if is.Before(was) || present && is != was {
				t.Fatalf("%s (there: %v) goes from version %v to %v", key, present, was, is)
			}
		}
		compacted := f.record
		compacted.Version, compacted.Body = f.clock.Tick(f.record.Version), c.encode()
		if joined := mustMerge(t, f.clock, f.record, compacted); joined.Body != compacted.Body {
			t.Fatalf("joined with what it was before it is\n%+v, not\n%+v", saidBy(t, joined), saidBy(t, compacted))
		}
	})
}

// TestTwoFloors: a key that was dropped below the floor of another side keeps the
// version at which it was removed, so that the order of the merges decides nothing.
func TestTwoFloors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := func(label string) Version {
			return Version{Time: rapid.Uint64Range(1, 40).Draw(t, label), Node: 1}
		}
		clock := NewClock(nil)
		base := testRecord(clock)
		side := func() Record {
			c := content{userID: "u", metadata: packMetadata(map[string]string{"kept": "0"})}
			if rapid.Bool().Draw(t, "there") {
				version := at("written")
				c.metadata = packMetadata(map[string]string{"kept": "0", "a": fmt.Sprint(version.Time)})
				c.mark(fieldMetadata+"a", version)
			} else if rapid.Bool().Draw(t, "removed") {
				c.mark(fieldMetadata+"a", at("removal"))
			}
			if floor := at("floor"); floor.Time > 10 && c.version(fieldMetadata+"a", Version{}) != floor {
				c.mark(fieldFloor, floor)
			}
			r := base
			r.Version, r.Body = clock.Tick(), c.encode()
			return r
		}
		checkSemilattice(t, clock, side(), side(), side())
	})
}
