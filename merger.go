package perdure

import (
	"context"
	"fmt"
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
	// Killed is true where the record came as a session and met its end here:
	// a tombstone, an epoch of its user, or the end of its parent.
	Killed bool
	// Met is true where another record of its id was stored already.
	Met bool
	// Err is set by MergeAll alone, where the record could not be merged.
	Err error
}

// Merge joins the record with what the backend holds under its id and stores
// the result. A tombstone ends the successors of the session it stands for; an
// epoch ends the sessions that it kills.
//
// It returns ErrInvalid for a session whose expiry is past its horizon,
// ErrFormat for a body that cannot be read, and what Backend.Apply returns.
func (m *Merger) Merge(ctx context.Context, r Record) (Merged, error) {
	merged := m.MergeAll(ctx, []Record{r})[0]
	if err := merged.Err; err != nil {
		return Merged{}, err
	}
	return merged, nil
}

// MergeAll merges many records: those that nothing is in the way of in one call
// of Backend.Apply, those that meet a record in as few more as that takes. Epochs
// and tombstones come before sessions, so that nothing dead is visible in
// between. The results are aligned with the records, each with an error of its
// own.
func (m *Merger) MergeAll(ctx context.Context, records []Record) []Merged {
	merged := make([]Merged, len(records))
	writes := make([]Write, len(records))
	var dead, sessions []int
	for i, r := range records {
		writes[i] = Write{Op: OpPut, Record: r, Reason: ReasonMerged}
		switch merged[i].Err = checkIncoming(&r); {
		case merged[i].Err != nil:
		case r.Kind == KindSession:
			sessions = append(sessions, i)
		case r.Kind == KindEpoch:
			writes[i].Reason = ReasonUserRevoked
			dead = append(dead, i)
		default:
			dead = append(dead, i)
		}
	}
	m.settleAll(ctx, writes, merged, dead)
	for _, i := range dead {
		if merged[i].Err == nil {
			merged[i].Err = m.follow(ctx, merged[i].Record)
		}
	}
	m.settleAll(ctx, writes, merged, sessions)
	for _, i := range sessions {
		r := merged[i].Record
		if merged[i].Killed = r.Kind == KindTombstone; merged[i].Err == nil && merged[i].Killed {
			merged[i].Err = m.follow(ctx, r)
		}
	}
	return merged
}

// follow ends what a tombstone or an epoch that was stored ends.
func (m *Merger) follow(ctx context.Context, stored Record) error {
	if stored.Kind == KindEpoch {
		return m.endKilled(ctx, stored)
	}
	_, err := m.endSuccessors(ctx, stored)
	return err
}

// settleAll settles the open ones of many puts, as settle does, all in one call
// of the backend at a time.
func (m *Merger) settleAll(ctx context.Context, writes []Write, merged []Merged, open []int) {
	for range maxAttempts {
		if len(open) == 0 {
			return
		}
		batches := make([]Batch, len(open))
		for n, i := range open {
			batches[n] = Batch(writes[i : i+1 : i+1])
		}
		results, err := m.Backend.Apply(ctx, batches)
		var again []int
		for n, i := range open {
			switch {
			case err != nil:
				merged[i].Err = err
			case results[n].Err != nil:
				merged[i].Err = results[n].Err
			case m.settled(&writes[i], &results[n], &merged[i]):
			default:
				again = append(again, i)
			}
		}
		open = again
	}
	for _, i := range open {
		merged[i].Err = errOutpaced()
	}
}

// settled deals with the result of a put. Where it met something, the write says
// what to put instead, and it is not settled yet.
func (m *Merger) settled(w *Write, result *Result, merged *Merged) bool {
	if result.Outcome == Applied {
		merged.Record, merged.Changed = w.Record, true
		return true
	}
	met := result.Stored
	merged.Met = merged.Met || met.Exists() && met.ID == w.Record.ID
	done, err := m.yield(w, met, m.join(w))
	merged.Record, merged.Err = w.Record, err
	return done || err != nil
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

// settle puts until the put is applied or changes nothing. At a conflict with
// the stored record, or with its absence (the zero Record), resolve says what to
// put instead.
func (m *Merger) settle(ctx context.Context, p *Write, resolve func(stored Record) (Record, error)) (changed bool, err error) {
	for range maxAttempts {
		result, err := m.applyOne(ctx, Batch{*p})
		if err != nil {
			return false, err
		}
		if result.Outcome == Applied {
			return true, nil
		}
		if done, err := m.yield(p, result.Stored, resolve); done || err != nil {
			return false, err
		}
	}
	return false, errOutpaced()
}

func errOutpaced() error {
	return fmt.Errorf("%w: %d other writers came first", ErrUnavailable, maxAttempts)
}

// yield changes a put to what is to be put after it met the stored record. It is
// done where that would change nothing.
func (m *Merger) yield(p *Write, stored Record, resolve func(stored Record) (Record, error)) (done bool, err error) {
	if stored.Exists() && stored.ID != p.Record.ID {
		return false, m.obstacle(p, stored)
	}
	if p.Record, err = resolve(stored); err != nil {
		return false, err
	}
	p.Base = stored.Version
	return p.Record.Version == stored.Version && p.Record.LastAccess <= stored.LastAccess, nil
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
	root, err := m.root(session)
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
	tomb := result.Stored
	if !tomb.Exists() {
		return Record{}, 0, nil
	}
	if !tomb.Ended() {
		ended := remove.Record
		ended.Kind, ended.Horizon = KindTombstone, max(ended.Horizon, tomb.Horizon)
		p := Write{Op: OpPut, Record: ended}
		if _, err := m.settle(ctx, &p, m.join(&p)); err != nil {
			return Record{}, 0, err
		}
		tomb = p.Record
	}
	n, err := m.endSuccessors(ctx, tomb)
	return Record{}, n, err
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
	for _, id := range ids {
		successor := tomb
		successor.ID, successor.Parent, successor.Body = id, tomb.ID, ""
		successor.Reason, successor.Version = ReasonParentEnded, m.Clock.Tick(tomb.Version)
		_, n, err := m.end(ctx, Write{Op: OpRemove, Record: successor, Plant: true})
		if err != nil {
			return ended, err
		}
		ended += n
	}
	return ended, nil
}
