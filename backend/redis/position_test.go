package redis

import (
	"encoding/base64"
	"math"
	"slices"
	"testing"

	"github.com/perdure/perdure"
	"pgregory.net/rapid"
)

func TestCursorsAreReadAsTheyWereWritten(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ps := make(positions, rapid.SampledFrom([]int{1, perdure.Partitions}).Draw(t, "feeds"))
		now := rapid.Uint64Range(0, 1<<48).Draw(t, "now")
		for i := range rapid.IntRange(0, len(ps)).Draw(t, "used") {
			ps[i] = position{
				ms:   now + rapid.Uint64Range(0, 1<<20).Draw(t, "ms"),
				seq:  rapid.OneOf(rapid.Uint64Range(0, 3), rapid.Uint64()).Draw(t, "seq"),
				read: rapid.IntRange(0, 4).Draw(t, "read"),
			}
			if ps[i].isZero() {
				ps[i].read = 0
			}
		}
		cursor := ps.String()
		if len(cursor) > maxCursor {
			t.Fatalf("a cursor of %d bytes", len(cursor))
		}
		got, err := parsePositions(cursor)
		if err != nil || !slices.Equal(got, ps) {
			t.Fatalf("%v is written as %s and read as %v, %v", ps, cursor, got, err)
		}
	})
}

func TestPreviousIDs(t *testing.T) {
	for want, p := range map[string]position{
		"5-6":                    {ms: 5, seq: 7},
		"4-18446744073709551615": {ms: 5},
		"0-0":                    {seq: 1},
		"18446744073709551615-0": {ms: math.MaxUint64, seq: 1},
	} {
		if got := p.previous(); got != want {
			t.Errorf("before %s is %s, want %s", p.id(), got, want)
		}
	}
	if got := (position{}).previous(); got != "0-0" {
		t.Errorf("before nothing is %s", got)
	}
}

// FuzzPositions: nothing makes it panic, and what it takes it would have written.
func FuzzPositions(f *testing.F) {
	f.Add(positions{{}}.String())
	f.Add(positions{{ms: 1 << 40, seq: 9, read: 3}}.String())
	f.Add(positions{3: {ms: 1 << 40, seq: 9, read: 1}, 200: {ms: 1<<40 + 5}, 255: {}}.String())
	f.Add(formerCursor())
	f.Add("AQ")
	f.Add("!")
	f.Fuzz(func(t *testing.T, cursor string) {
		if ps, err := parsePositions(cursor); err == nil && ps != nil && ps.String() != cursor {
			t.Errorf("%q is written %q", cursor, ps.String())
		}
	})
}

// FuzzPlaces does the same for the cursors of listings.
func FuzzPlaces(f *testing.F) {
	for _, cursor := range []string{"1700000000000.0123456789abcdef", "0..", "00x12.aa.bb", "ffT", "a0t", "9007199254740993.x"} {
		f.Add(cursor)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		if p, err := parsePlace(cursor); err == nil && p.String() != cursor {
			t.Errorf("the place %q is written %q", cursor, p)
		}
		if s, err := parseStation(cursor); err == nil && s.String() != cursor && cursor != "" {
			t.Errorf("the station %q is written %q", cursor, s)
		}
	})
}

// formerCursor is one of format 1, of feeds that were all empty.
func formerCursor() string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{1, 0}, make([]byte, perdure.Partitions)...))
}
