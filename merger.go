package perdure

import (
	"context"
	"fmt"
	"slices"
	"sync"
)

// Merger merges records into a Backend: the one way in for all that comes from
// elsewhere (migration, restore, replay, replication) and, inside Store, for
// what is written online. It is safe for concurrent use.
type Merger struct {
	Backend Backend
	// Clock stamps joins. Required.
	Clock *Clock
	// Codec opens and seals bodies. Defaults to plain bodies.
	Codec Codec
	// Copy is set where the backend holds copies of records of another store. What
	// was changed under the id of a rotated session is then not carried to its
	// successors: a copy may not know of them, nor of what became of them.
	// Defaults to false: all of a session is carried.
	Copy bool
}

// maxAttempts bounds a compare-and-set loop. Each lost round is another
// writer's success, so only a backend at fault comes near it.
const maxAttempts = 1000

// Merged is what became of a record that was merged.
type Merged struct {
	// Record is what is stored now.
	Record Record
	// Changed is false where the store held all of it already.
	Changed bool
	// Killed is true where the record came as a session and met its death here:
	// a tombstone, an epoch of its user, or the end of its parent. Where it was
	// rotated, what it brought lives on in its successors.
	Killed bool
	// Met is true where another record of its id was stored already.
	Met bool
	// Err is why the record could not be merged.
	Err error
}

// Merge joins the record with what the backend holds under its id and stores
// the result. A tombstone ends the successors of the session it stands for; an
// epoch ends the sessions that it kills. Where a session meets the tombstone of its
// rotation, whichever came first, it is merged into its successors.
//
// It returns ErrInvalid for a session whose expiry is past its horizon,
// ErrFormat for a body that cannot be read, and what Backend.Apply returns.
func (m *Merger) Merge(ctx context.Context, r Record) (Merged, error) {
	merged := m.MergeAll(ctx, []Record{r})[0]
	return merged, merged.Err
}

// MergeAll merges many records: those that meet nothing in one call of
// Backend.Apply, the others in as few more as that takes. What ends sessions comes
// before sessions, so that nothing dead is visible in between. The results are
// aligned with the records, each with an error of its own.
func (m *Merger) MergeAll(ctx context.Context, records []Record) []Merged {
	puts := make([]put, len(records))
	var ends, sessions []*put
	for i, r := range records {
		p := &puts[i]
		p.Write = Write{Op: OpPut, Record: r, Reason: ReasonMerged}
		p.resolve = m.join(&p.Write)
		switch p.err = checkIncoming(&r); {
		case p.err != nil:
		case r.Kind == KindSession:
			sessions = append(sessions, p)
		case r.Kind == KindEpoch:
			p.Reason = ReasonUserRevoked
			fallthrough
		default:
			if p.err = m.heirs(p, Record{}, Record{}); p.err == nil {
				ends = append(ends, p)
			}
		}
	}
	for _, some := range [][]*put{ends, sessions} {
		m.settle(ctx, some...)
		m.endAll(ctx, some)
	}
	merged := make([]Merged, len(records))
	for i := range puts {
		p := &puts[i]
		merged[i] = Merged{Err: p.err}
		if p.err == nil {
			killed := records[i].Kind == KindSession && p.Record.Kind == KindTombstone
			merged[i] = Merged{Record: p.Record, Changed: p.changed, Killed: killed, Met: p.met}
		}
	}
	return merged
}

// parallel is how many of the few that need calls of their own are seen to at a
// time: a backend may carry out calls that it has at once in one round trip.
const parallel = 32

// endAll ends what the merged records end: the successors of a tombstone, the
// sessions of the user that an epoch kills.
func (m *Merger) endAll(ctx context.Context, puts []*put) {
	var all sync.WaitGroup
	slots := make(chan struct{}, parallel)
	for _, p := range puts {
		epoch := p.Record.Kind == KindEpoch
		if p.err != nil || !epoch && (p.Record.Kind != KindTombstone || p.Record.Body == "") {
			continue
		}
		slots <- struct{}{}
		all.Go(func() {
			if epoch {
				p.err = m.endKilled(ctx, p.Record)
			} else {
				_, p.err = m.endSuccessors(ctx, p.Record)
			}
			<-slots
		})
	}
	all.Wait()
}

func checkIncoming(r *Record) error {
	if r.Kind == KindEpoch {
		if r.ID != EpochID(r.User) {
			return invalid("id", "%q is not the id of its user's epoch", clip(r.ID))
		}
		return nil
	}
	if err := CheckID(r.ID); err != nil {
		return err
	}
	if r.Kind == KindSession && (r.Expiry <= 0 || r.Expiry > r.Horizon) {
		return invalid("expiresAt", "of %s is not between zero and its horizon", r.ID)
	}
	return nil
}

func (m *Merger) codec() Codec {
	if m.Codec == nil {
		return plainCodec{}
	}
	return m.Codec
}

// put is a write on its way into the backend.
type put struct {
	Write
	// resolve says what to put instead at a conflict with the stored record, or
	// with its absence (the zero Record).
	resolve func(stored Record) (Record, error)
	changed bool // false where the store held all of it already
	met     bool // a record of its id
	err     error
	// heirs are to be merged into the successors before the next attempt; seen are
	// the ids, from the first on, that have been.
	heirs []*put
	done  bool // there is no next attempt
	seen  map[string]bool
}

// settle puts until each put is applied, changes nothing, or has failed. Those with
// heirs wait for the others, which may end what the heirs are.
func (m *Merger) settle(ctx context.Context, puts ...*put) {
	batches, writes := make([]Batch, len(puts)), make([]Write, len(puts))
	var waiting []*put
	heirs := func(p *put) bool { return len(p.heirs) > 0 }
	if slices.ContainsFunc(puts, heirs) {
		waiting = slices.DeleteFunc(slices.Clone(puts), func(p *put) bool { return !heirs(p) })
		puts = slices.DeleteFunc(slices.Clone(puts), heirs)
	}
	for range maxAttempts {
		if len(puts) == 0 {
			puts, waiting = m.carry(ctx, waiting), nil
		}
		if len(puts) == 0 {
			return
		}
		for i, p := range puts {
			writes[i] = p.Write
			batches[i] = writes[i : i+1 : i+1]
		}
		results, err := m.Backend.Apply(ctx, batches[:len(puts)])
		again := puts[:0:0]
		for i, p := range puts {
			p.err = err
			p.done = err != nil || m.advance(p, &results[i])
			switch {
			case heirs(p):
				waiting = append(waiting, p)
			case !p.done:
				again = append(again, p)
			}
		}
		puts = again
	}
	for _, p := range append(puts, waiting...) {
		p.err = fmt.Errorf("%w: %d other writers came first", ErrUnavailable, maxAttempts)
	}
}

// advance takes in what became of an attempt, and reports whether it was the last.
func (m *Merger) advance(p *put, result *Result) (done bool) {
	stored := &result.Stored
	switch {
	case result.Err != nil:
		p.err = result.Err
		return true
	case result.Outcome == Applied:
		p.changed = true
		return true
	case stored.Exists() && stored.ID != p.Record.ID:
		p.err = m.obstacle(&p.Write, *stored)
		return p.err != nil
	}
	p.met = p.met || stored.Exists()
	mine := p.Record
	if p.Record, p.err = p.resolve(*stored); p.err != nil {
		return true
	}
	if p.err = m.heirs(p, mine, *stored); p.err != nil {
		return true
	}
	p.Base = stored.Version
	return p.Record.Version == stored.Version && p.Record.LastAccess <= stored.LastAccess
}

// join resolves a conflict by merging what was to be put with what is stored.
func (m *Merger) join(p *Write) func(stored Record) (Record, error) {
	return func(stored Record) (Record, error) {
		if !stored.Exists() {
			return p.Record, nil
		}
		return merge(p.Record, stored, m.Clock, m.codec())
	}
}

// obstacle handles what else can stand in the way of a new session: the epoch of
// its user, which may spare it, or its parent's end.
func (m *Merger) obstacle(p *Write, stored Record) error {
	reason := ReasonParentEnded
	if stored.Kind == KindEpoch {
		dead, err := m.killedBy(stored, &p.Record)
		if err != nil {
			return err
		}
		if !dead {
			p.Epoch = stored.Version
			return nil
		}
		reason = ReasonUserRevoked
	}
	p.Record = entomb(p.Record, reason, m.Clock.Tick(p.Record.Version))
	return nil
}

func (m *Merger) killedBy(stored Record, session *Record) (bool, error) {
	e, err := decodeEpoch(stored)
	if err != nil {
		return false, err
	}
	if len(e.except) == 0 { // then it need not be readable
		return e.kills("", session.Born), nil
	}
	root, err := m.Root(session)
	if err != nil {
		return false, err
	}
	return e.kills(root, session.Born), nil
}

// entomb is the tombstone of a session.
func entomb(session Record, reason Reason, version Version) Record {
	session.Kind, session.Reason, session.Version, session.Body = KindTombstone, reason, version, ""
	return session
}

// applyOne applies one batch and unfolds its result.
func (m *Merger) applyOne(ctx context.Context, batch Batch) (Result, error) {
	results, err := m.Backend.Apply(ctx, []Batch{batch})
	if err != nil {
		return Result{}, err
	}
	return results[0], results[0].Err
}

// end makes the id a tombstone for ever and ends whatever it was rotated to. It
// returns the live session that was ended under this id, if any, and how many
// were ended in all.
func (m *Merger) end(ctx context.Context, remove Write) (Record, int, error) {
	result, err := m.applyOne(ctx, Batch{remove})
	if err != nil {
		return Record{}, 0, err
	}
	if result.Outcome == Applied {
		return result.Stored, 1, nil
	}
	n, err := m.endFurther(ctx, remove.Record, result.Stored)
	return Record{}, n, err
}

// endFurther is what is left to do where a removal met a tombstone, or nothing: a
// session that was rotated is ended for good, with whatever it was rotated to.
func (m *Merger) endFurther(ctx context.Context, ended, tomb Record) (int, error) {
	if !tomb.Exists() {
		return 0, nil
	}
	if !tomb.final() {
		ended.Kind, ended.Horizon = KindTombstone, max(ended.Horizon, tomb.Horizon)
		p := put{Write: Write{Op: OpPut, Record: ended}}
		p.resolve = m.join(&p.Write)
		if m.settle(ctx, &p); p.err != nil {
			return 0, p.err
		}
		tomb = p.Record
	}
	return m.endSuccessors(ctx, tomb)
}

// endSuccessors ends what the session of an ended tombstone was rotated to. A
// successor that is not known yet finds its tombstone when it comes.
func (m *Merger) endSuccessors(ctx context.Context, tomb Record) (ended int, err error) {
	if !tomb.Ended() || tomb.Body == "" {
		return 0, nil
	}
	ids, err := successors(tomb)
	if err != nil {
		return 0, err
	}
	removals := make([]Batch, len(ids))
	for i, id := range ids {
		successor := tomb
		successor.ID, successor.Parent, successor.Body = id, tomb.ID, ""
		successor.Reason, successor.Version = ReasonParentEnded, m.Clock.Tick(tomb.Version)
		removals[i] = Batch{{Op: OpRemove, Record: successor, Plant: true}}
	}
	return m.remove(ctx, removals)
}
