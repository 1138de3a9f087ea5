package redis

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/perdure/perdure"
	"github.com/redis/rueidis"
)

// place is where a listing of an index goes on: after this score and member. The
// zero place is its beginning. In a cursor it is "<score>.<member>": only what is
// stored decides what it means, so that it outlives the process and the server.
type place struct {
	score, member string
}

func (p place) String() string {
	if p.member == "" {
		return ""
	}
	return p.score + "." + p.member
}

// parsePlace reads what String wrote. It returns an ErrInvalid.
func parsePlace(cursor string) (p place, err error) {
	if cursor == "" {
		return p, nil
	}
	p.score, p.member, _ = strings.Cut(cursor, ".")
	n, bad := strconv.ParseUint(p.score, 10, 53)
	if bad != nil || p.score != strconv.FormatUint(n, 10) || !isMember(p.member) {
		return place{}, invalid("cursor", "is not one of this listing; give the Next of a page, or nothing to begin")
	}
	return p, nil
}

// isMember reports whether s can be the id of a record, or an index's own ".".
func isMember(s string) bool {
	const signs = "-._0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	return s != "" && len(s) <= perdure.MaxIDLen && strings.Trim(s, signs) == ""
}

const (
	defaultPage = 1000
	maxPage     = 5000
)

// pageLimit is how many records to handle where the caller asked for n: 1000 if
// that is none.
func pageLimit(n int) int {
	if n <= 0 {
		return defaultPage
	}
	return min(n, maxPage)
}

// listing is a page of an index.
type listing struct {
	looked int   // how many members there were on it
	last   place // the last of them
	found
}

// found is what is stored under ids.
type found struct {
	ids        []string
	values     []perdure.Record // aligned with ids; zero where the partition has no record
	unreadable []string         // ids of records that cannot be read; they are not in ids
}

// room is how many bytes the records of one reply may have.
const room = "4194304" // perdure.MaxPageBytes

// pageArgs are the arguments of luaPage for one index.
func pageArgs(own *partitionKeys, after place, limit int) []string {
	return []string{own.records, after.score, after.member, strconv.Itoa(limit - 1), room}
}

// page reads a page of one index: the first of it together with those of other
// callers.
func (b *Backend) page(ctx context.Context, own *partitionKeys, index string, after place, limit int) (listing, error) {
	if b.link.cluster || after != (place{}) {
		c := b.pageCall(own, index, after, limit)
		c.apart = !b.link.cluster
		results, err := b.link.do(ctx, c)
		if err != nil {
			return listing{}, err
		}
		return b.readPage(results[0])
	}
	p := b.pages.parcel()
	p.keys = append(p.keys, index)
	p.args = append(p.args, pageArgs(own, after, limit)...)
	reply, err := b.pages.send(ctx, p)
	if err != nil {
		return listing{}, err
	}
	return b.readListing(reply)
}

// pageCall is a call of luaPage for one index.
func (b *Backend) pageCall(own *partitionKeys, index string, after place, limit int) call {
	return call{script: b.scripts.page, keys: []string{index}, args: pageArgs(own, after, limit)}
}

// readPage reads the reply of luaPage for one index.
func (b *Backend) readPage(result rueidis.RedisResult) (listing, error) {
	replies, err := b.link.replies(result, 1)
	if err != nil {
		return listing{}, err
	}
	return b.readListing(replies[0])
}

// carryPages reads the pages of all parcels with one script.
func (b *Backend) carryPages(ctx context.Context, load []*parcel) {
	b.carryScript(ctx, call{script: b.scripts.page, watch: b.listed}, load)
}

func (b *Backend) readListing(reply rueidis.RedisMessage) (l listing, err error) {
	parts, err := reply.ToArray()
	if err != nil {
		return l, b.link.failure(err)
	}
	if len(parts) < 3 {
		return l, failure(errGarbage)
	}
	looked, err := parts[0].ToInt64()
	if err != nil {
		return l, failure(err)
	}
	l.looked = int(looked)
	if l.last, err = readPlace(parts[1:3]); err != nil {
		return l, err
	}
	l.found, err = readRecords(parts[3:])
	return l, err
}

func readPlace(parts []rueidis.RedisMessage) (p place, err error) {
	if p.member, err = parts[0].ToString(); err == nil {
		p.score, err = parts[1].ToString()
	}
	return p, failure(err)
}

// readRecords reads ids and records in turn.
func readRecords(parts []rueidis.RedisMessage) (f found, err error) {
	f.ids, f.values = make([]string, 0, len(parts)/2), make([]perdure.Record, 0, len(parts)/2)
	for i := 0; i+1 < len(parts); i += 2 {
		id, err := parts[i].ToString()
		if err != nil {
			return found{}, failure(err)
		}
		r, err := record(id, parts[i+1])
		switch {
		case errors.Is(err, perdure.ErrFormat):
			f.unreadable = append(f.unreadable, id)
		case err != nil:
			return found{}, err
		default:
			f.ids, f.values = append(f.ids, id), append(f.values, r)
		}
	}
	return f, nil
}

// readNames reads the reply of luaNames into a sheet.
func (b *Backend) readNames(result rueidis.RedisResult, s *sheet) error {
	parts, err := result.ToArray()
	if err == nil && len(parts) < 4 {
		err = errGarbage
	}
	if err == nil {
		s.bytes, err = parts[3].ToInt64()
	}
	if err != nil {
		return b.link.failure(err)
	}
	s.ids = make([]string, len(parts)-4)
	for i := range s.ids {
		if s.ids[i], err = parts[i+4].ToString(); err != nil {
			return failure(err)
		}
	}
	s.last, err = readPlace(parts[1:3])
	return err
}
