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
	// Killed is true where the record came as a session and met its death here:
	// a tombstone, an epoch of its user, or the end of its parent.
	Killed bool
	// Err is set by MergeAll alone, where the record could not be merged.
	Err error
}

// Merge joins the record with what the backend holds under its id and stores
// the result. A tombstone ends the successors of the session it stands for; an
// epoch ends the sessions that it kills. Merge epochs and tombstones before
// sessions: then nothing dead is visible in between.
//
// It returns ErrInvalid for a session whose expiry is past its horizon,
// ErrFormat for a body that cannot be read, and what Backend.Apply returns.
func (m *Merger) Merge(ctx context.Context, r Record) (Merged, error) {
	if err := checkIncoming(&r); err != nil {
		return Merged{}, err
	}
	if r.Kind == KindEpoch {
		return m.mergeEpoch(ctx, r)
	}
	p := Write{Op: OpPut, Record: r, Reason: ReasonMerged}
	changed, err := m.settle(ctx, &p, m.join(&p))
	if err != nil {
		return Merged{}, err
	}
	if p.Record.Kind == KindTombstone {
		if _, err := m.endSuccessors(ctx, p.Record); err != nil {
			return Merged{}, err
		}
	}
	return Merged{Record: p.Record, Changed: changed, Killed: r.Kind == KindSession && p.Record.Kind == KindTombstone}, nil
}

// MergeAll merges many records: in one call of Backend.Apply those that find
// nothing stored, or all that they say, and one by one the rest. The results are
// aligned with the records, each with an error of its own.
func (m *Merger) MergeAll(ctx context.Context, records []Record) []Merged {
	merged := make([]Merged, len(records))
	var batches []Batch
	var first []int // the records of batches
	for i, r := range records {
		merged[i].Err = checkIncoming(&r)
		if merged[i].Err == nil && r.Kind != KindEpoch {
			batches = append(batches, Batch{{Op: OpPut, Record: r, Reason: ReasonMerged}})
			first = append(first, i)
		}
	}
	settled := make([]bool, len(records))
	if len(batches) > 0 {
		results, err := m.Backend.Apply(ctx, batches)
		for j, i := range first {
			if merged[i].Err = err; err == nil {
				merged[i], settled[i] = m.atOnce(ctx, records[i], results[j])
			}
		}
	}
	for i := range records {
		if merged[i].Err == nil && !settled[i] {
			var err error
			if merged[i], err = m.Merge(ctx, records[i]); err != nil {
				merged[i].Err = err
			}
		}
	}
	return merged
}

// atOnce is what became of a record whose put had this result, and whether that
// is all: it was stored, or what is stored says all that it does.
func (m *Merger) atOnce(ctx context.Context, r Record, result Result) (merged Merged, settled bool) {
	switch stored := result.Stored; {
	case result.Err != nil:
		return Merged{Err: result.Err}, true
	case result.Outcome == Applied:
		_, err := m.endSuccessors(ctx, r)
		return Merged{Record: r, Changed: err == nil, Err: err}, true
	case stored.ID != r.ID || stored.Kind == KindTombstone && stored.Body != "":
		return Merged{}, false
	default:
		joined, err := merge(r, stored, m.Clock, m.codec())
		if err != nil {
			return Merged{Err: err}, true
		}
		same := joined.Version == stored.Version && joined.LastAccess <= stored.LastAccess
		return Merged{Record: joined, Killed: r.Kind == KindSession && joined.Kind == KindTombstone}, same
	}
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
		stored := result.Stored
		if stored.Exists() && stored.ID != p.Record.ID {
			if err := m.obstacle(p, stored); err != nil {
				return false, err
			}
			continue
		}
		if p.Record, err = resolve(stored); err != nil {
			return false, err
		}
		if p.Record.Version == stored.Version && p.Record.LastAccess <= stored.LastAccess {
			return false, nil
		}
		p.Base = stored.Version
	}
	return false, fmt.Errorf("%w: %d other writers came first", ErrUnavailable, maxAttempts)
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
