package simulation

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure/internal/reference"
)

var (
	timeFlag    = flag.Duration("simulate", 0, "how long to simulate; 0 is a fixed number of seeds")
	seedsFlag   = flag.Uint64("seeds", 0, "how many seeds of each profile; 0 is as many as make test has time for")
	fromFlag    = flag.Uint64("from", 0, "the first seed")
	profileFlag = flag.String("profile", "", "the profiles, by parts of their names, comma-separated; defaults to all")
)

// TestSimulation plays histories of all profiles, or of those that a flag names, and
// fails with the shortest history that breaks a law.
func TestSimulation(t *testing.T) {
	runs := &runs{profiles: chosen(), next: *fromFlag, began: time.Now(), broken: map[string]uint64{}}
	seeds := *seedsFlag
	if seeds == 0 {
		seeds = defaultSeeds
	}
	ctx, cancel := t.Context(), func() {}
	if *timeFlag > 0 {
		ctx, cancel = context.WithTimeout(ctx, *timeFlag)
		seeds = 1 << 62
	}
	defer cancel()
	runs.last = *fromFlag + seeds
	t.Run("seeds", func(t *testing.T) {
		for n := range runtime.GOMAXPROCS(0) {
			t.Run(fmt.Sprint(n+1), func(t *testing.T) {
				t.Parallel()
				runs.work(ctx, t, newRig(t))
			})
		}
	})
	runs.report(t)
}

// chosen are the profiles to play.
func chosen() (all []Profile) {
	for _, p := range Profiles() {
		for part := range strings.SplitSeq(*profileFlag, ",") {
			if strings.Contains(p.Name, part) {
				all = append(all, p)
				break
			}
		}
	}
	return all
}

// runs hands out seeds to workers, and counts.
type runs struct {
	profiles []Profile
	began    time.Time
	last     uint64
	calls    atomic.Int64

	mu     sync.Mutex
	next   uint64
	turn   int
	done   uint64
	told   time.Time
	broken map[string]uint64 // the first seed, by profile and law
}

// take is the next history to play: one seed goes through all profiles.
func (r *runs) take(t *testing.T) (p *Profile, seed uint64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next >= r.last || len(r.profiles) == 0 {
		return nil, 0, false
	}
	p, seed = &r.profiles[r.turn], r.next
	if r.turn++; r.turn == len(r.profiles) {
		r.turn, r.next = 0, r.next+1
	}
	r.done++
	if *timeFlag > 0 && time.Since(r.told) > 10*time.Second {
		r.told = time.Now()
		t.Log(r.summary())
	}
	return p, seed, true
}

func (r *runs) summary() string {
	took := time.Since(r.began)
	return fmt.Sprintf("%d histories, to seed %d, %.0f a second, %d acknowledged, broken: %v", r.done, r.next, float64(r.done)/took.Seconds(), r.calls.Load(), r.broken)
}

func (r *runs) report(t *testing.T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	t.Log(r.summary())
}

func (r *runs) work(ctx context.Context, t *testing.T, rig *rig) {
	for ctx.Err() == nil {
		p, seed, ok := r.take(t)
		if !ok {
			return
		}
		steps := Generate(p, seed)
		v := rig.play(t, p, steps, "")
		r.calls.Add(int64(v.Calls))
		for _, x := range v.Violations {
			if r.isNews(p, x.Law, seed) {
				t.Errorf("profile %q, seed %d: %s\n%s", p.Name, seed, x.Law, Story(rig.shrunk(t, p, steps, v, x.Law)))
			}
		}
	}
}

// isNews reports whether no seed of the profile has broken the law before.
func (r *runs) isNews(p *Profile, law string, seed uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := p.Name + ": " + law
	_, known := r.broken[key]
	if !known {
		r.broken[key] = seed
	}
	return !known
}

// rig plays histories on a disk of its own.
type rig struct {
	dir string
	n   int
}

func newRig(t *testing.T) *rig {
	parent := "/dev/shm" // an fsync costs nothing there
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

// shrunk is the shortest history that breaks the law.
func (r *rig) shrunk(t *testing.T, p *Profile, steps []Step, v *Verdict, law string) *Verdict {
	Shrink(steps, func(some []Step) bool {
		for range 2 { // what goroutines do at once, they do in any order
			if w := r.play(t, p, some, ""); w.breaks(law) {
				v = w
				return true
			}
		}
		return false
	})
	return v
}

func (v *Verdict) breaks(law string) bool {
	for _, x := range v.Violations {
		if x.Law == law {
			return true
		}
	}
	return false
}
