package local

import (
	"fmt"

	"github.com/perdure/perdure"
)

// command is a write on its way. It is evaluated over a stage, and what it
// decides on is applied afterwards, or not at all.
type command interface {
	// claim adds the partitions that the command names.
	claim(set *partitions)
	// discover adds those that show only once the claimed ones are locked.
	discover(b *Backend, set *partitions)
	// indexed reports whether run reads the index of a user or the schedule,
	// which show what is applied, and not what is staged before it.
	indexed() bool
	// deferred reports whether the command only drops records, which may leave
	// the data file with a later commit.
	deferred() bool
	// run stages what there is to do and keeps the answer.
	run(s *stage)
}

// stage is what is stored, as it will be once what is staged on it is applied.
type stage struct {
	b    *Backend
	now  perdure.Millis
	held partitions  // that are locked
	need partitions  // that turn out to be needed
	muts []mutation  // in the order of their making
	few  [2]mutation // the first memory of muts
	mark int         // where in muts the present batch begins

	// What the batches that were accepted come to: by how much the accounted
	// memory was changed, and, with a directory only, how many records there
	// are more, and what there is now under each id, nil if nothing.
	bytes   int64
	records int
	final   map[string]*perdure.Record

	// commit asks for a commit even where nothing is staged; deferred leaves it
	// to a later one. try has the commit find out whether there is room for one that
	// was refused.
	commit, deferred, try bool

	// check has the name of the file looked after, where nothing is committed.
	check bool
}

// execute carries out a command in memory, under the locks of all partitions
// that it reads or writes.
func (b *Backend) execute(c command) {
	s := b.stages.Get().(*stage)
	c.claim(&s.held)
	for {
		b.lock(s.held)
		s.need = s.held
		c.discover(b, &s.need)
		if s.need == s.held {
			break
		}
		b.unlock(s.held)
		s.held = s.need
	}
	defer b.leave(s)
	s.b, s.now, s.muts = b, b.now(), s.few[:0]
	c.run(s)
	s.apply()
}

// leave ends an execute. The pool keeps no record alive.
func (b *Backend) leave(s *stage) {
	b.unlock(s.held)
	*s = stage{}
	b.stages.Put(s)
}

// apply makes all that is staged visible, then announces it. The caller holds
// the locks.
func (s *stage) apply() {
	for _, m := range s.muts {
		s.b.apply(m)
	}
	s.b.feed.publish(s.muts, s.now)
}

// find returns what is stored under the id, or nil. Bytes that cannot be read
// are an ErrFormat.
func (s *stage) find(id string) (*perdure.Record, error) {
	for i := len(s.muts) - 1; i >= s.mark; i-- {
		if s.muts[i].id() == id {
			return s.muts[i].new, nil
		}
	}
	if r, ok := s.final[id]; ok {
		return r, nil
	}
	if e := s.b.entry(id); e != nil {
		return e.record.Load(), nil
	}
	return nil, s.b.unreadable[id]
}

// epoch returns the epoch of the user, or nil.
func (s *stage) epoch(k perdure.UserKey) (*perdure.Record, error) {
	if s.final != nil || len(s.muts) > 0 {
		return s.find(perdure.EpochID(k))
	}
	if u := s.b.user(k); u != nil {
		return u.epoch, nil
	}
	return nil, nil
}

// stage adds a mutation to the present batch.
func (s *stage) stage(m mutation) { s.muts = append(s.muts, m) }

// accept ends the present batch and starts the next. Where it would grow past
// the bound on memory it is taken back, with an ErrFull.
func (s *stage) accept() error {
	var growth int64
	limit := s.b.opts.MaxBytes + s.b.opts.MaxEndBytes
	for _, m := range s.muts[s.mark:] {
		n := size(m.new) - size(m.old)
		if growth += n; n > 0 && m.new.Kind == perdure.KindSession {
			limit = s.b.opts.sessionBytes()
		}
	}
	if used := s.b.bytes.Add(growth); growth > 0 && used > limit {
		s.b.bytes.Add(-growth)
		s.reject()
		return fmt.Errorf("%w: %d of %d bytes are in use and this write needs %d more; raise the bound on memory (MaxBytes; of the daemon, PERDURE_MAX_MEMORY), or where the ends of sessions fill it, shorten PERDURE_HORIZON: an end stands until then",
			perdure.ErrFull, used-growth, limit, growth)
	}
	s.bytes += growth
	if s.final != nil {
		s.settle()
	}
	s.mark = len(s.muts)
	return nil
}

// settle notes what the present batch comes to.
func (s *stage) settle() {
	for _, m := range s.muts[s.mark:] {
		s.final[m.id()] = m.new
		if m.old == nil {
			s.records++
		}
		if m.new == nil {
			s.records--
		}
	}
}

// reject takes the present batch back.
func (s *stage) reject() { s.muts = s.muts[:s.mark] }

// ahead returns an ErrSkew for a version too far ahead of the clock.
func (s *stage) ahead(v perdure.Version) error {
	if lead := v.Millis() - s.now; lead > s.b.skew {
		return fmt.Errorf("%w: by %d ms, and %d are allowed; set the clock of the writer", perdure.ErrSkew, lead, s.b.skew)
	}
	return nil
}
