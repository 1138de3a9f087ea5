package redis

import (
	"context"
	"encoding/hex"

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
	found   perdure.Page
}

// lookAhead is how many indexes a scan counts while it reads one.
const lookAhead = 128

// step reads from the present index, and counts those after it; where it has room
// left it reads the ones that are not empty. So a page of a dense store costs one
// round trip, and one of a sparse store few.
func (c *pager) step(ctx context.Context) error {
	here, ahead := c.at, c.ahead()
	calls := []call{c.page(here)}
	for _, s := range ahead {
		calls = append(calls, command([]string{"ZCARD"}, c.index(s)))
	}
	results, err := c.backend.link.do(ctx, calls...)
	if err != nil {
		return err
	}
	asked := c.left
	if full, err := c.take(here, asked, results[0]); full || err != nil {
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
			worth, calls = append(worth, ahead[i]), append(calls, c.page(ahead[i]))
		}
		room -= n
		end = ahead[i].next(c.query.Dead)
	}
	asked = c.left
	if results, err = c.backend.link.do(ctx, calls...); err != nil {
		return err
	}
	for i, s := range worth {
		if full, err := c.take(s, asked, results[i]); full || err != nil {
			return err
		}
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

func (c *pager) page(s station) call {
	return c.backend.pageCall(&c.backend.keys.partitions[s.partition], c.index(s), s.place, c.left)
}

// take adds what was read from an index, of which so much was asked for, to the
// page, and goes on after it. It reports whether the page is full.
func (c *pager) take(s station, asked int, result rueidis.RedisResult) (full bool, err error) {
	l, err := c.backend.readPage(result)
	if err != nil {
		return false, err
	}
	for _, r := range l.values {
		if r.Exists() && (r.Kind == perdure.KindSession) != s.dead {
			c.found.Records = append(c.found.Records, r)
		}
	}
	c.found.Unreadable = append(c.found.Unreadable, l.unreadable...)
	if c.at = s.next(c.query.Dead); l.looked == asked {
		c.at = s
		c.at.place = l.last
	}
	c.left -= l.looked
	return c.left <= 0, nil
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
