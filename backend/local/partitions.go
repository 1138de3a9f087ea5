package local

import (
	"iter"
	"math/bits"

	"github.com/perdure/perdure"
)

// partitions is a set of partitions.
type partitions [4]uint64

func (p *partitions) add(partition int) { p[partition>>6] |= 1 << (partition & 63) }

// addID adds the partition of an id, if there is one.
func (p *partitions) addID(id string) {
	if id != "" {
		p.add(perdure.PartitionOf(id))
	}
}

// addUser adds the partition of a user, if that is known.
func (p *partitions) addUser(k perdure.UserKey) {
	if k != "" {
		p.add(k.Partition())
	}
}

// all yields them in rising order, the order in which they are locked.
func (p partitions) all() iter.Seq[int] {
	return func(yield func(int) bool) {
		for i, word := range p {
			for ; word != 0; word &= word - 1 {
				if !yield(i<<6 | bits.TrailingZeros64(word)) {
					return
				}
			}
		}
	}
}

// lock takes the locks of the partitions, for writing.
func (b *Backend) lock(set partitions) {
	for i := range set.all() {
		b.shards[i].mu.Lock()
	}
}

func (b *Backend) unlock(set partitions) {
	for i := range set.all() {
		b.shards[i].mu.Unlock()
	}
}
