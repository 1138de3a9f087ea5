package failover

import "testing"

// FuzzPart: whatever a cursor is, what is read from it is what writes it.
func FuzzPart(f *testing.F) {
	for _, cursor := range []string{"", "part.", "part.00f", "part.ffh", part{from: 7, away: true, after: "x"}.String(), "part.0Gf", "part.12x"} {
		f.Add(cursor)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		p, ok := parsePart(cursor)
		if !ok {
			return
		}
		if p.String() != cursor || p.from < 0 || p.from > 255 {
			t.Errorf("%q is read as %+v", cursor, p)
		}
	})
}

func TestPartsOfAScan(t *testing.T) {
	for _, p := range []part{{}, {from: 255, away: true}, {from: 86, after: "56x1.a"}} {
		if got, ok := parsePart(p.String()); !ok || got != p {
			t.Errorf("%+v is read as %+v", p, got)
		}
	}
}

func TestPartitions(t *testing.T) {
	var s partitions
	for p := 60; p < 130; p++ {
		s.add(p)
	}
	switch {
	case s.len() != 70, s.has(59), !s.has(60), s.has(130), s.all(), s.empty(), !everywhere().all():
		t.Error("it does not hold what was added")
	case s.end(0) != 60, s.end(60) != 130, s.end(130) != 256:
		t.Error("neighbours are not found")
	case s.others().len() != 186, !s.with(s.others()).all(), s.and(s.others()) != partitions{}, s.meets(s.others()), !at(64).within(s):
		t.Error("sets are not joined as sets are")
	}
}
