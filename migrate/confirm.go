package migrate

import (
	"context"
	"fmt"
	"maps"
	"slices"
)

// maxRounds bounds how often the stores are compared.
const maxRounds = 5

// maxUnlike bounds the sessions that may differ for the stores to count as about
// to be in step.
const maxUnlike = 100_000

// confirm compares the stores, and moves once more what the target lacks, until it
// holds all that it was given. While the source is in use others differ each time.
func (m *move) confirm(ctx context.Context) error {
	if m.SkipVerify {
		return nil
	}
	given := map[string]bool{} // what was moved once more
	for round := range maxRounds {
		unlike, err := m.compareAll(ctx)
		if err != nil {
			return err
		}
		changed, failed, err := m.repair(ctx, m.repairable(unlike))
		if err != nil {
			return err
		}
		lacks := lacking(unlike)
		for _, id := range failed {
			delete(lacks, id) // of which its own failure tells
		}
		stubborn := maps.Clone(lacks)
		maps.DeleteFunc(stubborn, func(id string, _ bool) bool { return !given[id] })
		if changed == 0 && len(lacks) == 0 || round > 0 && len(stubborn) == 0 {
			return m.accuse(ctx)
		}
		for id := range unlike {
			given[id] = true
		}
	}
	return fmt.Errorf("%w: after %d rounds; compare them with Verify", ErrDiffers, maxRounds)
}

// compareAll is compare, once all is in the target. Where that has lost it meanwhile all
// is moved again.
func (m *move) compareAll(ctx context.Context) (unlike map[string]Kind, err error) {
	for range maxRescans {
		unlike, err = m.compare(ctx)
		lost := m.look(ctx)
		if lost == nil {
			return unlike, err
		}
		if err = lost; !m.again(lost) {
			return nil, err
		}
		if err := m.whole(ctx); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w, %d times in a row while it was compared", err, maxRescans)
}

// lacking are those that the target does not have, or not where they belong. The others
// it knows besides.
func lacking(unlike map[string]Kind) map[string]bool {
	gone := map[string]bool{}
	for id, kind := range unlike {
		if kind == Missing || kind == Unended || kind == Index {
			gone[id] = true
		}
	}
	return gone
}

// repairable are those of unlike that are to be moved once more.
func (m *move) repairable(unlike map[string]Kind) []string {
	if m.SkipExisting {
		return slices.Collect(maps.Keys(lacking(unlike)))
	}
	return slices.Collect(maps.Keys(unlike))
}

// compare is what differs in a comparison of all.
func (m *move) compare(ctx context.Context) (map[string]Kind, error) {
	m.rounds++
	unlike := map[string]Kind{}
	err := m.differences(ctx, VerifyOptions{Reading: m.Reading, OneWay: true}, func(d Difference) { unlike[d.ID] = d.Kind })
	return unlike, err
}

// differences tells of what differs, one after the other, unless that is too much.
func (m *move) differences(ctx context.Context, o VerifyOptions, tell func(Difference)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	v := newComparison(m.from, m.to, o)
	v.tell = m.tell
	found := make(chan Difference, askers)
	told := make(chan struct{})
	go func() {
		defer close(told)
		n := 0
		for d := range found {
			if n++; n > maxUnlike {
				cancel(fmt.Errorf("%w: more than %d sessions do", ErrDiffers, maxUnlike))
				continue
			}
			tell(d)
		}
	}()
	v.differs = func(d Difference) { found <- d }
	err := v.run(ctx)
	close(found)
	<-told
	if err != nil {
		return cause(ctx, err)
	}
	return context.Cause(ctx)
}

// repair merges what the source holds under the ids once more. It returns how much of
// it the target did not hold yet, and what it did not take.
func (m *move) repair(ctx context.Context, ids []string) (changed int, failed []string, err error) {
	for some := range slices.Chunk(ids, m.BatchSize) {
		records, err := m.load(ctx, m.from, some)
		if err != nil {
			return 0, nil, err
		}
		records, _ = m.choose(records)
		merged := m.merge(ctx, records)
		if err := m.halt(records, merged); err != nil {
			return 0, nil, err
		}
		for i := range merged {
			if merged[i].Err != nil {
				failed = append(failed, records[i].ID)
			} else if merged[i].Changed {
				changed++
			}
		}
	}
	return changed, failed, nil
}

// accuse returns an ErrDiffers where the source has lost something since the first run
// began, and the target holds what it does not.
func (m *move) accuse(ctx context.Context) error {
	if m.Reverse || !m.at.doubted() {
		return nil
	}
	n := 0
	err := m.differences(ctx, VerifyOptions{Reading: m.Reading, SkipIndex: true}, func(d Difference) {
		if d.Kind == Extra || d.Kind == Ended {
			n++
		}
	})
	if err == nil && n > 0 {
		err = fmt.Errorf("%w: the source has lost data since this began, and the target knows %d sessions otherwise; "+
			"compare them with Verify, bring them back by moving the other way, or begin anew without the checkpoint to leave it so", ErrDiffers, n)
	}
	return err
}
