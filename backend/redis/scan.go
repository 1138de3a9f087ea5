package redis

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"strconv"

	"github.com/perdure/perdure"
	"github.com/redis/rueidis"
)

// Scan returns a page of records in the order of partition, and in it of sessions
// by their deadline, then of tombstones and epochs by the time of their drop.
func (b *Backend) Scan(ctx context.Context, q perdure.ScanQuery) (perdure.Page, error) {
	if err := b.link.ready(ctx); err != nil {
		return perdure.Page{}, err
	}
	if q.From == 0 && q.To == 0 {
		q.To = perdure.Partitions
	}
	if q.From < 0 || q.To > perdure.Partitions || q.From > q.To {
		return perdure.Page{}, invalid("scan", "is of the partitions %d to %d; they lie within 0 to %d", q.From, q.To, perdure.Partitions)
	}
	at, err := parseStation(q.After)
	if err != nil {
		return perdure.Page{}, err
	}
	if at.partition < q.From {
		at = station{partition: q.From}
	}
	ctx, cancel := b.link.bound(ctx)
	defer cancel()
	c := pager{backend: b, query: &q, at: at, left: pageLimit(q.Limit)}
	for c.left > 0 && c.at.partition < q.To {
		if err := c.step(ctx); err != nil {
			return perdure.Page{}, err
		}
	}
	if c.at.partition < q.To {
		c.found.Next = c.at.String()
	}
	return c.found, nil
}

// pager makes one page of a scan.
type pager struct {
	backend *Backend
	query   *perdure.ScanQuery
	at      station // where to go on
	left    int     // records to come
	bytes   int64   // of those that are there
	found   perdure.Page
}

// lookAhead is how many indexes a scan counts while it reads one.
const lookAhead = 128

// step reads from the present index, and counts those after it; where it has room
// left it reads the ones that are not empty. The records are got by the server's
// own command, since a script would copy each twice: a page of a dense store costs
// two round trips, and one of a sparse store few.
func (c *pager) step(ctx context.Context) error {
	here, ahead := c.at, c.ahead()
	calls := []call{c.names(here)}
	for _, s := range ahead {
		calls = append(calls, command([]string{"ZCARD"}, c.index(s)))
	}
	results, err := c.backend.link.do(ctx, calls...)
	if err != nil {
		return err
	}
	if full, err := c.take(ctx, []station{here}, results); full || err != nil {
		return err
	}
	var worth []station
	calls = calls[:0]
	end := here.next(c.query.Dead)
	for i, room := 0, int64(c.left); i < len(ahead) && room > 0; i++ {
		n, err := c.backend.number(results[1+i])
		if err != nil {
			return err
		}
		if n > 0 {
			worth, calls = append(worth, ahead[i]), append(calls, c.names(ahead[i]))
		}
		room -= n
		end = ahead[i].next(c.query.Dead)
	}
	if results, err = c.backend.link.do(ctx, calls...); err != nil {
		return err
	}
	if full, err := c.take(ctx, worth, results); full || err != nil {
		return err
	}
	c.at = end
	return nil
}

// ahead is the indexes after the present one.
func (c *pager) ahead() (stations []station) {
	for s := c.at.next(c.query.Dead); s.partition < c.query.To && len(stations) < lookAhead; s = s.next(c.query.Dead) {
		stations = append(stations, s)
	}
	return stations
}

func (c *pager) index(s station) string {
	own := &c.backend.keys.partitions[s.partition]
	if s.dead {
		return own.tombs
	}
	return own.expiry
}

// names is a call of luaNames.
func (c *pager) names(s station) call {
	return call{
		script: c.backend.scripts.names, keys: []string{c.index(s)},
		args: []string{s.place.score, s.place.member, strconv.Itoa(c.left - 1), c.backend.keys.partitions[s.partition].records, room},
	}
}

// sheet is what was read from an index.
type sheet struct {
	station
	ids   []string
	bytes int64 // of their records
	last  place // of the ids, if there may be more
}

// take adds the records of what was read from indexes to the page, and goes on
// after them. It reports whether the page is full.
func (c *pager) take(ctx context.Context, stations []station, results []rueidis.RedisResult) (full bool, err error) {
	sheets := make([]sheet, 0, len(stations))
	for i, room := 0, c.left; i < len(stations) && room > 0 && !full; i++ {
		s := sheet{station: stations[i]}
		if err = c.backend.readNames(results[i], &s); err != nil {
			return false, err
		}
		if full = c.bytes > 0 && c.bytes+s.bytes > perdure.MaxPageBytes; full {
			break
		}
		room -= len(s.ids)
		c.bytes += s.bytes
		sheets = append(sheets, s)
		full = s.last.member != ""
	}
	values, err := c.values(ctx, sheets)
	if err != nil {
		return false, err
	}
	c.found.Records = slices.Grow(c.found.Records, len(values))
	for _, s := range sheets {
		for i, id := range s.ids {
			r, err := record(id, values[i])
			switch {
			case errors.Is(err, perdure.ErrFormat):
				c.found.Unreadable = append(c.found.Unreadable, id)
			case err != nil:
				return false, err
			case r.Exists() && c.wants(s.station, &r):
				c.found.Records = append(c.found.Records, r)
			}
		}
		values = values[len(s.ids):]
		if c.at = s.next(c.query.Dead); s.last.member != "" {
			c.at = s.station
			c.at.place = s.last
		}
		c.left -= len(s.ids)
	}
	if full {
		c.left = 0
	}
	return c.left <= 0, nil
}

// wants reports whether a record that an index names belongs on the page. A session
// that was ended after its index was read is there as its tombstone: the index of
// those may have been empty before.
func (c *pager) wants(s station, r *perdure.Record) bool {
	return (r.Kind == perdure.KindSession) != s.dead || !s.dead && c.query.Dead
}

// maxGets is how many records one command gets: others are served after each.
const maxGets = 500

// values gets what is stored under the ids of sheets, in their order.
func (c *pager) values(ctx context.Context, sheets []sheet) (values []rueidis.RedisMessage, err error) {
	var calls []call
	n := 0
	for _, s := range sheets {
		prefix := c.backend.keys.partitions[s.partition].records
		for ids := range slices.Chunk(s.ids, maxGets) {
			keys := make([]string, len(ids))
			for i, id := range ids {
				keys[i] = prefix + id
			}
			calls = append(calls, command([]string{"MGET"}, keys...))
		}
		n += len(s.ids)
	}
	results, err := c.backend.link.do(ctx, calls...)
	if err != nil {
		return nil, err
	}
	values = make([]rueidis.RedisMessage, 0, n)
	for i, result := range results {
		some, err := c.backend.link.replies(result, len(calls[i].keys))
		if err != nil {
			return nil, err
		}
		values = append(values, some...)
	}
	return values, nil
}

// station is where a scan goes on. In a cursor it is the partition in hex, "x" for
// the sessions or "t" for tombstones and epochs, and the place.
type station struct {
	partition int
	dead      bool
	place     place
}

// next is the index after this one.
func (s station) next(dead bool) station {
	if dead && !s.dead {
		return station{partition: s.partition, dead: true}
	}
	return station{partition: s.partition + 1}
}

func (s station) String() string {
	index := "x"
	if s.dead {
		index = "t"
	}
	return hex.EncodeToString([]byte{byte(s.partition)}) + index + s.place.String()
}

// parseStation reads what String wrote. It returns an ErrInvalid.
func parseStation(cursor string) (s station, err error) {
	if cursor == "" {
		return s, nil
	}
	if len(cursor) >= 3 {
		if b, bad := hex.DecodeString(cursor[:2]); bad == nil {
			s.partition, s.dead = int(b[0]), cursor[2] == 't'
			if s.place, err = parsePlace(cursor[3:]); err == nil && s.String() == cursor {
				return s, nil
			}
		}
	}
	return station{}, invalid("cursor", "is not one of a scan; give the Next of a page, or nothing to begin")
}
