package redis

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/perdure/perdure"
)

const (
	leastFill = 8   // sessions from which on luaFill is worth it
	maxFill   = 128 // of a call
)

// fillable is how many batches at the start of a group create a session each, all
// of one partition, that only the user's epoch could be in the way of: what a
// migration does most of the time.
func (b *Backend) fillable(batches []perdure.Batch, group []int) (n int) {
	size := 0
	for n < min(len(group), maxFill) && size < maxLoad {
		batch := batches[group[n]]
		w, first := &batch[0], &batches[group[0]][0]
		if len(batch) > 1 || w.Op != perdure.OpPut || !b.encoder.simple(w) || foreign(w.Record.ID, w.Record.User) ||
			perdure.PartitionOf(w.Record.ID) != perdure.PartitionOf(first.Record.ID) {
			break
		}
		size += w.Record.EncodedSize()
		n++
	}
	return n
}

// fill makes a call of luaFill of the batches of a group, which it sorts by user.
func (b *Backend) fill(batches []perdure.Batch, group []int) call {
	record := func(at int) *perdure.Record { return &batches[at][0].Record }
	today := b.now()
	ending := func(at int) perdure.Millis { return b.encoder.end(record(at), today) }
	slices.SortStableFunc(group, func(i, j int) int {
		return cmp.Or(strings.Compare(string(record(i).User), string(record(j).User)), cmp.Compare(ending(i), ending(j)))
	})
	partition := perdure.PartitionOf(record(group[0]).ID)
	own := &b.keys.partitions[partition]
	args := make([]string, 0, 5+7*len(group))
	args = append(args, b.feeds.length, decimal(today), own.records, own.users, own.records+own.hex+".")
	var user perdure.UserKey
	var reaped int64
	head := 0 // of the last user
	var buf []byte
	for _, at := range group {
		r := record(at)
		if until := reapAt(partition, ending(at), today); r.User != user || until != reaped {
			user, reaped, head = r.User, until, len(args)
			args = append(args, string(user), "", strconv.FormatInt(reaped, 10))
		}
		buf = r.Append(buf[:0])
		end := len(buf)
		buf = strconv.AppendInt(buf, int64(r.Deadline()), 10)
		due := len(buf)
		buf = appendCreation(buf, &batches[at][0])
		all := string(buf)
		args = append(args, r.ID, all[:end], all[end:due], all[due:])
		args[head+1] = strconv.Itoa((len(args) - head - 3) / 4)
	}
	return call{script: b.scripts.fill, keys: []string{own.expiry, b.feeds.of(partition), own.tombs}, args: args}
}
