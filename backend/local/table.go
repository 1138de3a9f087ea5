package local

import (
	"hash/maphash"

	"github.com/perdure/perdure"
)

// table finds entries by id: a hash table with chains through the entries.
// Beside a Go map it holds no copy of the ids, so that it takes a third of the
// memory, and does not look at them, a cache miss each, to grow.
type table struct {
	seed    maphash.Seed
	buckets []*entry // a power of two of them, at least as many as entries
	count   int
}

func newTable() table {
	return table{seed: maphash.MakeSeed(), buckets: make([]*entry, 8)}
}

func (t *table) hash(id string) uint32 { return uint32(maphash.String(t.seed, id)) }

// at is where the chain for the hash begins.
func (t *table) at(hash uint32) **entry { return &t.buckets[hash&uint32(len(t.buckets)-1)] }

// find returns the entry of the id, or nil.
func (t *table) find(id string) *entry {
	h := t.hash(id)
	for e := *t.at(h); e != nil; e = e.next {
		if e.hash == h && e.record.Load().ID == id {
			return e
		}
	}
	return nil
}

// add enters the entry of a record whose id is not there yet.
func (t *table) add(r *perdure.Record) *entry {
	if t.count == len(t.buckets) {
		t.grow()
	}
	e := &entry{hash: t.hash(r.ID)}
	e.record.Store(r)
	bucket := t.at(e.hash)
	e.next, *bucket = *bucket, e
	t.count++
	return e
}

func (t *table) grow() {
	old := t.buckets
	t.buckets = make([]*entry, 2*len(old))
	for _, e := range old {
		for e != nil {
			next, bucket := e.next, t.at(e.hash)
			e.next, *bucket = *bucket, e
			e = next
		}
	}
}

// remove takes an entry out.
func (t *table) remove(e *entry) {
	at := t.at(e.hash)
	for *at != e {
		at = &(*at).next
	}
	*at = e.next
	t.count--
}
