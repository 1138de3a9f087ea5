package simulation

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/perdure/perdure"
)

// play carries out a step.
func (w *world) play(ctx context.Context, s *Step) error {
	if s.Proc == Everybody {
		for n := range w.procs {
			one := *s
			one.Proc = n
			if err := w.play(ctx, &one); err != nil {
				return err
			}
		}
		return nil
	}
	p := w.procs[s.Proc]
	switch s.Op {
	case Link, LoseNext, CrashAt, Stop, Continue, Clock, Drift:
		w.befall(p, s)
		return nil
	case Reboot, Empty, Older, Save, Gap:
		w.befallFront(p.site, s)
		return nil
	case Kill, Start, CopyDir, BackDir, WipeDir, Damage:
		return w.befallDisk(ctx, p, s)
	}
	if p.life == nil || p.stopped || p.life.crashed.Load() {
		return nil
	}
	id := w.session(s.Ref, p)
	switch s.Op {
	case Create, CreateID, GetMany, RevokeUser, ListUser, ListAll, Sweep:
		id = ""
	default:
		if id == "" {
			return nil
		}
	}
	w.call(ctx, p, s, id, false)
	return nil
}

func (w *world) befall(p *process, s *Step) {
	switch s.Op {
	case Link:
		p.site.modes[p.n] = s.Mode
		if p.life != nil {
			p.life.link.setMode(s.Mode)
		}
	case Clock:
		p.setClock(s.Span, 0)
	case Drift:
		p.setClock(p.off(), s.Span)
	default:
		if p.life == nil {
			return
		}
		l := p.life.link
		switch s.Op {
		case LoseNext:
			l.set(func() { l.lose = true })
		case CrashAt:
			l.set(func() { l.crash = s.Nth })
		case Stop:
			p.stopped = true
			l.halt()
		case Continue:
			if p.life.crashed.Load() {
				return
			}
			p.stopped = false
			l.run()
		}
	}
	w.record(&Event{Step: s})
}

func (w *world) befallFront(f *site, s *Step) {
	switch s.Op {
	case Save:
		f.save()
	case Gap:
		f.spaces.Trim(space)
	default:
		f.reboot(s.Op)
		if s.Op != Reboot {
			w.losses = append(w.losses, time.Since(w.born))
		}
		for _, p := range w.procs {
			if p.life != nil && p.site == f {
				p.life.link.set(func() {})
			}
		}
	}
	w.record(&Event{Step: s})
}

func (w *world) befallDisk(ctx context.Context, p *process, s *Step) (err error) {
	happened := true
	switch s.Op {
	case Kill:
		if happened = p.life != nil; happened {
			err = p.kill()
		}
	case Start:
		if happened = p.life == nil; happened {
			err = w.start(ctx, p)
		}
	case CopyDir:
		err = p.disk.copy()
	case BackDir:
		if happened = p.life == nil; happened {
			happened, err = p.disk.back()
		}
	case WipeDir:
		if happened = p.life == nil; happened {
			err = p.disk.wipe()
		}
	case Damage:
		if happened = p.life == nil; happened {
			happened, err = p.disk.damage(s.N)
		}
	}
	if happened {
		w.record(&Event{Step: s})
	}
	return err
}

// call has a client of the process make a call.
func (w *world) call(ctx context.Context, p *process, s *Step, id string, final bool) {
	l := p.life
	e := &Event{Step: s, life: l, id: id, off: p.off(), final: final}
	var moves int
	e.from, moves = l.now()
	for _, ref := range s.Refs {
		if other := w.session(ref, p); other != "" {
			e.ids = append(e.ids, other)
		}
	}
	if s.Op == CreateID {
		e.id = fmt.Sprintf("own-%016d", s.N)
		w.name(s.N, e.id, p)
	}
	e.wanted = p.now().Add(s.Span)
	w.record(e)
	w.calls.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, callPatience)
		defer cancel()
		err := w.ask(ctx, l, e)
		if l.link.runs() != nil {
			return // nobody heard
		}
		if err == nil && (s.Op == Create || s.Op == CreateID || s.Op == Rotate) {
			w.name(s.N, e.session.ID, p)
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if err == nil && e.session.ID != "" {
			w.seen[sight{p.n, e.session.ID}] = e.session
		}
		var after int
		e.to, after = l.now()
		e.moved, e.moves = after != moves, after
		w.clock++
		e.last = w.clock
		e.ended, e.offAt, e.err, e.done = time.Since(w.born), p.off(), err, true
	})
}

// session is the id of the session that a step made, if the process has to do with it.
func (w *world) session(ref int, p *process) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.owner[ref] != p.service {
		return ""
	}
	return w.ids[ref]
}

func (w *world) name(ref int, id string, p *process) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ids[ref], w.owner[ref] = id, p.service
}

// sight is of a session by clients of a process.
type sight struct {
	proc int
	id   string
}

// seenBy is the session as the clients of a process saw it last.
func (w *world) seenBy(p *process, id string) (perdure.Session, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, known := w.seen[sight{p.n, id}]
	return s, known
}

func user(u int) string { return fmt.Sprint("u", u) }

// ask makes the call of an event.
func (w *world) ask(ctx context.Context, l *life, e *Event) (err error) {
	s, store := e.Step, l.store
	mark := map[string]any{fmt.Sprint("k", s.N%3): s.N}
	switch s.Op {
	case Create, CreateID:
		e.session, err = store.Create(ctx, perdure.Data{ID: e.id, UserID: user(s.User), TTL: s.Span, Metadata: map[string]any{"made": s.N, "pad": strings.Repeat("x", l.p.profile.Size)}})
	case Get:
		e.session, err = store.Get(ctx, e.id)
	case Exists:
		e.ok, err = store.Exists(ctx, e.id)
	case GetMany:
		e.list, e.missing, err = store.GetMany(ctx, e.ids)
	case Update:
		e.session, err = store.Update(ctx, e.id, perdure.Patch{Metadata: mark})
	case Expect:
		read, known := w.seenBy(l.p, e.id)
		if !known || s.N%2 == 0 {
			read, err = store.Get(ctx, e.id)
		}
		if err == nil {
			e.list = []perdure.Session{read}
			e.session, err = store.Update(ctx, e.id, perdure.Patch{Metadata: mark, Expected: read.Version})
		}
	case Expire:
		e.session, err = store.Update(ctx, e.id, perdure.Patch{ExpiresAt: e.wanted})
	case Touch:
		e.ok, err = store.Touch(ctx, e.id)
	case Delete:
		e.ok, err = store.Delete(ctx, e.id)
	case Revoke:
		e.ok, err = store.Revoke(ctx, e.id)
	case RevokeUser:
		e.n, err = store.RevokeUser(ctx, user(s.User), e.ids...)
	case Rotate:
		e.session, err = store.Rotate(ctx, e.id, s.Span)
	case ListUser:
		e.list, err = store.GetByUserID(ctx, user(s.User))
	case ListAll:
		e.list, err = listAll(ctx, store)
	case Sweep:
		e.n, err = store.DeleteExpired(ctx)
	case Copy:
		err = w.copy(ctx, store, e)
	case MergeCopy:
		err = w.mergeCopy(ctx, l, e)
	}
	return err
}

func listAll(ctx context.Context, store *perdure.Store) (all []perdure.Session, err error) {
	for q := (perdure.ListQuery{PageSize: 7}); ; {
		page, err := store.List(ctx, q)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Sessions...)
		if q.PageToken = page.NextPageToken; q.PageToken == "" {
			return all, nil
		}
	}
}

func (w *world) copy(ctx context.Context, store *perdure.Store, e *Event) error {
	r, err := store.Backend().Get(ctx, e.id)
	if err == nil && r.Exists() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.copies[e.Step.Ref] = r
	}
	return err
}

func (w *world) mergeCopy(ctx context.Context, l *life, e *Event) error {
	w.mu.Lock()
	r, ok := w.copies[e.Step.Ref]
	w.mu.Unlock()
	if !ok {
		return nil
	}
	merger := perdure.Merger{Backend: l.store.Backend(), Clock: perdure.NewClock(l.p.now)}
	_, err := merger.Merge(ctx, r)
	return err
}
