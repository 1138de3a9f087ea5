package simulation

import (
	"os"
	"strings"
	"testing"
)

func TestShrinkLeavesWhatMatters(t *testing.T) {
	p := Profiles()[0]
	steps := Generate(&p, 7)
	has := func(some []Step, n int) bool {
		for _, s := range some {
			if s.N == n {
				return true
			}
		}
		return false
	}
	short := Shrink(steps, func(some []Step) bool { return has(some, 11) && has(some, 42) && has(some, 43) })
	if len(short) != 3 {
		t.Errorf("%d steps are left of %d, want the 3 that matter", len(short), len(steps))
	}
}

func TestASeedIsAHistory(t *testing.T) {
	for _, p := range Profiles() {
		drawn := map[Op]bool{}
		for seed := range uint64(200) {
			one, two := Generate(&p, seed), Generate(&p, seed)
			for i := range one {
				if one[i].String() != two[i].String() {
					t.Fatalf("profile %q, seed %d: %s and %s", p.Name, seed, one[i].String(), two[i].String())
				}
				drawn[one[i].Op] = true
			}
		}
		for op, weight := range p.Weight {
			if weight > 0 && !drawn[op] {
				t.Errorf("profile %q never draws %s", p.Name, op)
			}
		}
	}
}

func TestEveryProfileIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/simulation.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range Profiles() {
		if row := "| " + p.Name + " | " + p.About + " |"; !strings.Contains(string(doc), row) {
			t.Errorf("docs/simulation.md lacks %q", row)
		}
	}
}
