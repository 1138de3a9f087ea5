package simulation

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure/internal/reference"
)

var (
	profileFlag = flag.String("profile", "", "the profiles to simulate, by parts of their names, comma-separated")
	seedsFlag   = flag.Uint64("seeds", 0, "how many seeds of each profile")
	fromFlag    = flag.Uint64("from", 0, "the first seed")
)

// rig plays histories on a disk of its own.
type rig struct {
	dir string
	n   int
}

func newRig(t *testing.T) *rig {
	parent := "/dev/shm"
	if _, err := os.Stat(parent); err != nil {
		parent = ""
	}
	dir, err := os.MkdirTemp(parent, "simulation")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &rig{dir: dir}
}

func (r *rig) play(t *testing.T, p *Profile, steps []Step, bug reference.Bug) (v *Verdict) {
	r.n++
	dir := filepath.Join(r.dir, fmt.Sprint(r.n))
	synctest.Test(t, func(t *testing.T) {
		var err error
		if v, err = Play(t.Context(), p, steps, dir, bug); err != nil {
			t.Fatal(err)
		}
	})
	if p.Files {
		os.RemoveAll(dir)
	}
	return v
}

// shrunk is the shortest history that breaks the same law.
func (r *rig) shrunk(t *testing.T, p *Profile, steps []Step, v *Verdict, bug reference.Bug) *Verdict {
	law := v.Violations[0].Law
	Shrink(steps, func(some []Step) bool {
		for range 2 {
			w := r.play(t, p, some, bug)
			for _, x := range w.Violations {
				if x.Law == law {
					v = w
					return true
				}
			}
		}
		return false
	})
	return v
}

func TestExplore(t *testing.T) {
	if *seedsFlag == 0 {
		t.Skip("-seeds is not given")
	}
	for _, p := range Profiles() {
		if !wanted(p.Name) {
			continue
		}
		t.Run(p.Name, func(t *testing.T) {
			r, began, laws, first, calls := newRig(t), time.Now(), map[string]int{}, map[string]uint64{}, 0
			for seed := *fromFlag; seed < *fromFlag+*seedsFlag; seed++ {
				steps := Generate(&p, seed)
				v := r.play(t, &p, steps, "")
				calls += v.Calls
				seen := map[string]bool{}
				for _, x := range v.Violations {
					if seen[x.Law] {
						continue
					}
					seen[x.Law] = true
					laws[x.Law]++
					if laws[x.Law] == 1 {
						first[x.Law] = seed
						one := *v
						one.Violations = []Violation{x}
						t.Logf("seed %d: %s\n%s", seed, x.Law, Story(r.shrunk(t, &p, steps, &one, "")))
					}
				}
			}
			t.Logf("%d seeds, %.1f a second, %d calls, broken: %v, first: %v", *seedsFlag, float64(*seedsFlag)/time.Since(began).Seconds(), calls, laws, first)
		})
	}
}

func wanted(name string) bool {
	for part := range strings.SplitSeq(*profileFlag, ",") {
		if strings.Contains(name, part) {
			return true
		}
	}
	return false
}
