package simulation

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/reference"
)

// callPatience is how long a client waits for a call.
const callPatience = 5 * time.Second

// world plays a history.
type world struct {
	profile *Profile
	sites   []*site
	procs   []*process
	born    time.Time
	calls   sync.WaitGroup

	mu     sync.Mutex
	clock  int // of what happens: no two calls begin or end at once
	events []*Event
	ids    map[int]string // of sessions, by the step that made them
	owner  map[int]int    // the service that each belongs to
	copies map[int]perdure.Record
	seen   map[sight]perdure.Session
	losses []time.Duration // when the front store may have lost data
	quiet  time.Duration   // when all was mended and had had its time
	broken []string        // what no call shows
}

// Play plays a history and returns what is wrong with it. It runs in a synctest
// bubble, and dir is a directory that is its alone.
func Play(ctx context.Context, p *Profile, steps []Step, dir string, bug reference.Bug) (*Verdict, error) {
	w := &world{profile: p, born: time.Now(), ids: map[int]string{}, owner: map[int]int{}, copies: map[int]perdure.Record{}, seen: map[sight]perdure.Session{}}
	defer w.close()
	err := w.open(ctx, dir, bug)
	if err == nil {
		err = w.run(ctx, steps)
	}
	if err != nil && !errors.Is(err, errBroken) {
		return nil, err
	}
	return newJudge(w).verdict(), nil
}

// run plays the steps, then mends all and looks at what is left.
func (w *world) run(ctx context.Context, steps []Step) error {
	for i := range steps {
		s := &steps[i]
		if wait := s.At - time.Since(w.born); wait > 0 {
			time.Sleep(wait)
		}
		synctest.Wait()
		if err := w.reap(); err != nil {
			return err
		}
		if err := w.play(ctx, s); err != nil {
			return err
		}
		synctest.Wait()
	}
	if err := w.settle(ctx); err != nil {
		return err
	}
	w.look(ctx)
	time.Sleep(20 * time.Second)
	w.look(ctx)
	w.calls.Wait()
	return nil
}

func (w *world) open(ctx context.Context, dir string, bug reference.Bug) error {
	services := 1
	for _, o := range w.profile.Owners {
		services = max(services, o+1)
	}
	for range services {
		w.sites = append(w.sites, newSite(bug, w.profile.Procs))
	}
	for n := range w.profile.Procs {
		p := &process{n: n, profile: w.profile, born: w.born, disk: &disk{}}
		if w.profile.Owners != nil {
			p.service = w.profile.Owners[n]
		}
		p.site = w.sites[p.service]
		if w.profile.Files {
			p.disk = &disk{dir: filepath.Join(dir, fmt.Sprint("p", n)), copies: filepath.Join(dir, fmt.Sprint("copy", n))}
		}
		if w.profile.Shared {
			p.disk = &disk{dir: filepath.Join(dir, "shared"), shared: true}
		}
		w.procs = append(w.procs, p)
		if err := w.start(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// start starts a process. One that does not start is a fault of its own.
func (w *world) start(ctx context.Context, p *process) error {
	if err := p.start(ctx); err != nil {
		w.broken = append(w.broken, fmt.Sprintf("p%d does not start: %v", p.n, err))
		return errBroken
	}
	return nil
}

var errBroken = errors.New("cannot go on")

func (w *world) close() {
	for _, p := range w.procs {
		p.close()
	}
	w.calls.Wait()
}

// reap buries the processes that died in a call.
func (w *world) reap() error {
	for _, p := range w.procs {
		if p.life != nil && p.life.crashed.Load() {
			w.record(&Event{Step: &Step{At: time.Since(w.born), Proc: p.n, Op: Kill}, note: " (in a call)"})
			if err := p.kill(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *world) record(e *Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.clock++
	e.first, e.began = w.clock, time.Since(w.born)
	w.events = append(w.events, e)
}

// settle mends all, sets the clocks right, and gives the processes time.
func (w *world) settle(ctx context.Context) error {
	w.record(&Event{Step: &Step{At: time.Since(w.born), Proc: Everybody, Op: settled}})
	synctest.Wait()
	if err := w.reap(); err != nil {
		return err
	}
	for _, p := range w.procs {
		p.setClock(0, 0)
		p.site.modes[p.n] = Well
		if p.life == nil {
			if err := w.start(ctx, p); err != nil {
				return err
			}
		}
		p.life.link.set(func() { p.life.link.crash, p.life.link.lose = 0, false })
		p.life.link.setMode(Well)
		p.life.link.run()
	}
	quiet := w.profile.Quiet
	if quiet == 0 {
		quiet = 5 * time.Minute
	}
	time.Sleep(quiet)
	w.quiet = time.Since(w.born)
	return nil
}

// look reads everything through everybody.
func (w *world) look(ctx context.Context) {
	for _, p := range w.procs {
		if p.life == nil {
			continue
		}
		if state, _ := p.life.now(); state != "healthy" {
			w.broken = append(w.broken, fmt.Sprintf("p%d is %s after all was mended", p.n, state))
		}
		at := time.Since(w.born)
		for ref := range w.profile.Steps + 1 {
			if id := w.session(ref, p); id != "" {
				w.call(ctx, p, &Step{At: at, Proc: p.n, Op: Get, Ref: ref}, id, true)
			}
		}
		for u := range w.profile.Users {
			w.call(ctx, p, &Step{At: at, Proc: p.n, Op: ListUser, User: u}, "", true)
		}
		w.call(ctx, p, &Step{At: at, Proc: p.n, Op: ListAll}, "", true)
	}
}
