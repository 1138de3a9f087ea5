package failover

import (
	"fmt"
	"math/bits"

	"github.com/perdure/perdure"
)

// partitions is a set of partitions: a shard of the front store, or what a call
// reaches. The zero value has none.
type partitions [perdure.Partitions / 64]uint64

// everywhere has all partitions.
func everywhere() (all partitions) {
	for i := range all {
		all[i] = ^uint64(0)
	}
	return all
}

// at has one partition.
func at(partition int) (s partitions) {
	s.add(partition)
	return s
}

func (s *partitions) add(partition int) { s[partition/64] |= 1 << (partition % 64) }

func (s partitions) has(partition int) bool { return s[partition/64]&(1<<(partition%64)) != 0 }

func (s partitions) empty() bool { return s == partitions{} }

func (s partitions) all() bool { return s == everywhere() }

func (s partitions) len() (n int) {
	for _, word := range s {
		n += bits.OnesCount64(word)
	}
	return n
}

func (s partitions) with(t partitions) partitions {
	for i := range s {
		s[i] |= t[i]
	}
	return s
}

func (s partitions) without(t partitions) partitions {
	for i := range s {
		s[i] &^= t[i]
	}
	return s
}

func (s partitions) and(t partitions) partitions { return s.without(t.others()) }

// others are those that are not in the set.
func (s partitions) others() partitions { return everywhere().without(s) }

// meets reports whether the two have a partition in common.
func (s partitions) meets(t partitions) bool { return !s.and(t).empty() }

// within reports whether all of the set are in the other.
func (s partitions) within(t partitions) bool { return s.without(t).empty() }

// end is the first partition from this one on that is not in the set if this is, or
// that is if this is not.
func (s partitions) end(from int) int {
	to := from + 1
	for to < perdure.Partitions && s.has(to) == s.has(from) {
		to++
	}
	return to
}

// String says how many there are, as a reason does.
func (s partitions) String() string {
	return fmt.Sprintf("%d of %d partitions", s.len(), perdure.Partitions)
}

// reachOf is where a call goes that writes the record: a session is indexed under its
// user, and follows its parent.
func reachOf(r *perdure.Record) partitions {
	reach := at(perdure.PartitionOf(r.ID))
	if r.Kind == perdure.KindSession {
		if r.User != "" {
			reach.add(r.User.Partition())
		}
		if r.Parent != "" {
			reach.add(perdure.PartitionOf(r.Parent))
		}
	}
	return reach
}

// reachOfBatch is where a batch goes. A batch with a write of another kind than a put
// goes where its id does.
func reachOfBatch(batch perdure.Batch) (reach partitions) {
	for i := range batch {
		if w := &batch[i]; w.Op == perdure.OpPut {
			reach = reach.with(reachOf(&w.Record))
		} else {
			reach.add(perdure.PartitionOf(w.Record.ID))
		}
	}
	return reach
}

func reachOfIDs(ids []string) (reach partitions) {
	for _, id := range ids {
		reach.add(perdure.PartitionOf(id))
	}
	return reach
}

// among keeps those of the records that can be written where all of the partitions can.
func among(records []perdure.Record, of partitions) []perdure.Record {
	kept := records[:0]
	for i := range records {
		if reachOf(&records[i]).within(of) {
			kept = append(kept, records[i])
		}
	}
	return kept
}
