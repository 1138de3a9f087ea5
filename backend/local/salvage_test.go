package local_test

import (
	"errors"
	"os"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// spoil is how a page of a file is damaged.
var spoil = map[string]func(page []byte){
	"zeroes":    func(page []byte) { clear(page) },
	"flipped":   func(page []byte) { flip(page) },
	"head":      func(page []byte) { flip(page[:16]) },
	"noise":     func(page []byte) { copy(page, randomBytes(len(page))) },
	"elements":  func(page []byte) { flip(page[16:64]) },
	"one bit":   func(page []byte) { page[len(page)-1] ^= 1 },
	"its count": func(page []byte) { page[10] ^= 0xFF },
}

func flip(b []byte) {
	for i := range b {
		b[i] ^= 0xFF
	}
}

// TestEveryPage: whichever page is damaged, and however, the file is refused, or all
// that it serves is what was stored; and what lies on the other pages can be salvaged.
func TestEveryPage(t *testing.T) {
	dir, records := filled(t, 200)
	whole, err := os.ReadFile(dataFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	size := os.Getpagesize()
	refused := 0
	for name, damage := range spoil {
		for at := 0; at+size <= len(whole); at += size {
			bad := []byte(string(whole))
			damage(bad[at : at+size])
			if err := os.WriteFile(dataFile(dir), bad, 0o600); err != nil {
				t.Fatal(err)
			}
			b, err := local.Open(local.Options{Dir: dir, Strict: true, EndReserve: -1})
			if err == nil {
				for _, r := range scanAll(t, b) {
					if r != records[r.ID] {
						t.Errorf("%s: a record that was not stored is served: %+v", name, r)
					}
				}
				if name == "zeroes" {
					useDamaged(t, b)
				}
				b.Close()
				continue
			}
			if refused++; !errors.Is(err, perdure.ErrFormat) || !errors.Is(err, local.ErrDamaged) {
				t.Errorf("%s at %d: %v", name, at, err)
			}
			left, err := local.Salvage(dir)
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]bool{}
			for _, r := range left.Records {
				if got[r.ID] = true; r != records[r.ID] {
					t.Errorf("%s: a record that was not stored is salvaged: %+v", name, r)
				}
			}
			if most := size/100 + 1; len(got) < len(records)-most {
				t.Errorf("%s at page %d: %d of %d are salvaged", name, at/size, len(got), len(records))
			}
			if left.Want != len(records) && left.Want >= 0 {
				t.Errorf("%s at page %d: it should have %d", name, at/size, left.Want)
			}
		}
	}
	if refused < 2*len(whole)/size {
		t.Errorf("only %d were refused", refused)
	}
}

// TestPagesThatGoInCircles: a branch that leads back to itself is refused, not followed.
func TestPagesThatGoInCircles(t *testing.T) {
	dir, _ := filled(t, 600)
	whole, err := os.ReadFile(dataFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	size, branches := os.Getpagesize(), 0
	for at := 2 * size; at+size <= len(whole); at += size {
		if whole[at+8] != 1 { // not a branch
			continue
		}
		branches++
		copy(whole[at+16+8:], whole[at:at+8]) // its first child is itself
	}
	if branches == 0 {
		t.Fatal("there is no branch")
	}
	if err := os.WriteFile(dataFile(dir), whole, 0o600); err != nil {
		t.Fatal(err)
	}
	wantOpenError(t, dir, local.ErrDamaged, "move it away")
}
