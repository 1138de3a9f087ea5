package foreign

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/foreign"
	"github.com/perdure/perdure/migrate"
)

// Options say how to read sessions. Only Layout is required.
type Options struct {
	Layout foreign.Layout
	// Codec seals what is read. Defaults to plain bodies.
	Codec perdure.Codec
	// Horizon is how long after its creation a session can be extended to.
	// Defaults to 7 days.
	Horizon time.Duration
}

// Redis is a migrate.Source of sessions in Redis or Valkey: single, behind
// Sentinels, or in a Cluster. Its parts are the masters. It is safe for
// concurrent use.
type Redis struct {
	Options
	client rueidis.Client
	// absolute says that the server tells when a key ends, not only how long it
	// still lives: from Redis 7.0 on.
	absolute bool
}

var _ migrate.Source = (*Redis)(nil)

// NewRedis reads with the client, which from then on belongs to it. It returns a
// perdure.ErrUnavailable where the server does not answer.
func NewRedis(ctx context.Context, client rueidis.Client, o Options) (*Redis, error) {
	r := &Redis{Options: o, client: client}
	err := client.Do(ctx, client.B().Pexpiretime().Key(o.Layout.KeyPrefix()).Build()).Error()
	if _, refused := rueidis.IsRedisErr(err); err != nil && !refused {
		return nil, unavailable(err)
	}
	r.absolute = err == nil
	return r, nil
}

// Close ends the connections.
func (r *Redis) Close() error {
	r.client.Close()
	return nil
}

func invalid(field, format string, args ...any) error {
	return &perdure.InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

func unavailable(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w", perdure.ErrUnavailable, err)
}

// Parts is the number of masters.
func (r *Redis) Parts(ctx context.Context) (int, error) {
	masters, err := r.masters(ctx)
	return len(masters), err
}

// masters are those of all nodes that are masters, in the order of their
// addresses.
func (r *Redis) masters(ctx context.Context) ([]rueidis.Client, error) {
	nodes := r.client.Nodes()
	var masters []rueidis.Client
	for _, address := range slices.Sorted(maps.Keys(nodes)) {
		node := nodes[address]
		if len(nodes) > 1 {
			role, err := node.Do(ctx, node.B().Role().Build()).ToArray()
			if err != nil {
				return nil, unavailable(err)
			}
			if name, err := role[0].ToString(); err != nil || name != "master" {
				continue
			}
		}
		masters = append(masters, node)
	}
	return masters, nil
}

// Count is what the servers hold in all: other keys count too.
func (r *Redis) Count(ctx context.Context) (count int64, err error) {
	masters, err := r.masters(ctx)
	if err != nil {
		return 0, err
	}
	for _, node := range masters {
		n, err := node.Do(ctx, node.B().Dbsize().Build()).AsInt64()
		if err != nil {
			return 0, unavailable(err)
		}
		count += n
	}
	return count, nil
}

// Read scans a master. The cursor holds for one run of the server: after a
// restart or a failover the part is read from its beginning.
func (r *Redis) Read(ctx context.Context, part int, after string, limit int) (migrate.Page, error) {
	masters, err := r.masters(ctx)
	if err != nil {
		return migrate.Page{}, err
	}
	if part < 0 || part >= len(masters) {
		return migrate.Page{}, invalid("part", "is %d of %d: the Cluster has changed; begin anew", part, len(masters))
	}
	node := masters[part]
	run, at, err := parseCursor(after)
	if err != nil {
		return migrate.Page{}, err
	}
	current, entry, err := r.scan(ctx, node, at, limit)
	if err == nil && run != "" && run != current {
		current, entry, err = r.scan(ctx, node, 0, limit)
	}
	if err != nil {
		return migrate.Page{}, err
	}
	page, err := r.page(ctx, entry.Elements)
	if entry.Cursor != 0 {
		page.Next = current + "." + strconv.FormatUint(entry.Cursor, 10)
	}
	return page, err
}

// scan is one step of a scan, and which run of the server made it.
func (r *Redis) scan(ctx context.Context, node rueidis.Client, at uint64, limit int) (run string, entry rueidis.ScanEntry, err error) {
	b := node.B()
	results := node.DoMulti(ctx,
		b.Arbitrary("INFO", "server").Build(),
		b.Scan().Cursor(at).Match(escape(r.Layout.KeyPrefix())+"*").Count(int64(limit)).Build())
	info, err := results[0].ToString()
	if err == nil {
		entry, err = results[1].AsScanEntry()
	}
	if err != nil {
		return "", entry, unavailable(err)
	}
	for line := range strings.Lines(info) {
		if id, ok := strings.CutPrefix(line, "run_id:"); ok {
			run = strings.TrimSpace(id)
		}
	}
	return run, entry, nil
}

// parseCursor reads the cursor of a page.
func parseCursor(cursor string) (run string, at uint64, err error) {
	if cursor == "" {
		return "", 0, nil
	}
	run, number, _ := strings.Cut(cursor, ".")
	if at, err = strconv.ParseUint(number, 10, 64); err != nil {
		return "", 0, invalid("cursor", "is not one of this source; give the Next of a page, or nothing to begin")
	}
	return run, at, nil
}

// escape keeps a prefix from being a pattern.
func escape(prefix string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`).Replace(prefix)
}

// page reads the sessions under keys.
func (r *Redis) page(ctx context.Context, keys []string) (page migrate.Page, err error) {
	values, err := r.values(ctx, keys)
	if err != nil {
		return page, err
	}
	for i, v := range values {
		id := strings.TrimPrefix(keys[i], r.Layout.KeyPrefix())
		if v.gone {
			continue
		}
		record, err := r.record(id, v)
		if err != nil {
			page.Refused = append(page.Refused, migrate.Failure{ID: id, Reason: err.Error()})
			continue
		}
		page.Records = append(page.Records, record)
	}
	return page, nil
}

func (r *Redis) record(id string, v value) (perdure.Record, error) {
	if v.err != nil {
		return perdure.Record{}, v.err
	}
	p, err := r.Layout.Decode(id, []byte(v.text), v.expires)
	if err != nil {
		return perdure.Record{}, err
	}
	if r.Horizon > 0 {
		if p.Horizon = p.CreatedAt.Add(r.Horizon); p.Horizon.Before(p.ExpiresAt) {
			p.Horizon = p.ExpiresAt
		}
	}
	return p.Record(r.Codec)
}

// Load reads sessions by their ids.
func (r *Redis) Load(ctx context.Context, ids []string) ([]perdure.Record, error) {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = r.Layout.KeyPrefix() + id
	}
	values, err := r.values(ctx, keys)
	if err != nil {
		return nil, err
	}
	records := make([]perdure.Record, len(ids))
	for i, v := range values {
		if !v.gone {
			records[i], _ = r.record(ids[i], v) // the zero Record with an error
		}
	}
	return records, nil
}

// value is what is under a key.
type value struct {
	text    string
	expires time.Time // zero for never
	gone    bool
	err     error // why it cannot be a session
}

// values reads keys and when they end. Of a key whose life alone can be asked
// for, the answer is counted from before the question: no life is lengthened.
func (r *Redis) values(ctx context.Context, keys []string) ([]value, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	commands := make(rueidis.Commands, 0, 2*len(keys))
	for _, key := range keys {
		b := r.client.B()
		commands = append(commands, b.Get().Key(key).Build())
		if r.absolute {
			commands = append(commands, b.Pexpiretime().Key(key).Build())
		} else {
			commands = append(commands, b.Pttl().Key(key).Build())
		}
	}
	now := time.Now()
	results := r.client.DoMulti(ctx, commands...)
	values := make([]value, len(keys))
	for i := range values {
		v := &values[i]
		text, err := results[2*i].ToString()
		switch _, refused := rueidis.IsRedisErr(err); {
		case rueidis.IsRedisNil(err):
			v.gone = true
			continue
		case refused && strings.HasPrefix(err.Error(), "WRONGTYPE"):
			v.err = invalid("session", "is not a string in Redis")
			continue
		case err != nil:
			return nil, unavailable(err)
		}
		v.text = text
		ends, err := results[2*i+1].AsInt64()
		switch {
		case err != nil:
			return nil, unavailable(err)
		case ends == -2:
			v.gone = true
		case ends > 0 && r.absolute:
			v.expires = time.UnixMilli(ends)
		case ends > 0:
			v.expires = now.Add(time.Duration(ends) * time.Millisecond)
		}
	}
	return values, nil
}
