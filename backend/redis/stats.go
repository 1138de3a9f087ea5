package redis

import (
	"context"
	"strconv"
	"strings"

	"github.com/perdure/perdure"
	"github.com/redis/rueidis"
)

// Stats counts sessions, tombstones and changes in one round trip: of the changes
// the entries that hold them, so there may be more. Bytes and MaxBytes are those
// of the server, or of all masters, whatever else they hold.
func (b *Backend) Stats(ctx context.Context) (perdure.Stats, error) {
	var calls []call
	var counts []*int64
	stats := perdure.Stats{Backend: "redis"}
	count := func(name, key string, into *int64) {
		calls, counts = append(calls, command([]string{name}, key)), append(counts, into)
	}
	for i := range b.keys.partitions {
		own := &b.keys.partitions[i]
		count("ZCARD", own.expiry, &stats.Sessions)
		count("ZCARD", own.tombs, &stats.Tombstones)
	}
	for _, feed := range b.feeds.keys {
		count("XLEN", feed, &stats.FeedLength)
	}
	var notice int64 // which is no end
	count("EXISTS", b.keys.record(perdure.EpochID(perdure.NoticeUser())), &notice)
	results, err := b.link.do(ctx, calls...)
	if err != nil {
		return perdure.Stats{}, err
	}
	for i, result := range results {
		n, err := b.number(result)
		if err != nil {
			return perdure.Stats{}, err
		}
		*counts[i] += n
	}
	stats.Tombstones -= min(notice, stats.Tombstones)
	servers, err := b.servers(ctx)
	if err != nil {
		return perdure.Stats{}, err
	}
	stats.Details = map[string]string{"mode": b.mode(), "nearCacheBytes": strconv.FormatInt(b.near.size(), 10)}
	for _, s := range servers {
		stats.Bytes += s.number("used_memory")
		stats.MaxBytes += s.number("maxmemory")
		stats.Details["server"] = s.name()
	}
	return stats, nil
}

// server is what INFO says of a master. It is nil where this user may not ask.
type server struct {
	address string
	info    map[string]string
}

// servers asks the server, or all masters of a Cluster, at the same time. A node
// of a Cluster that does not answer, or not in time, is passed over while others do.
func (b *Backend) servers(ctx context.Context) (all []server, err error) {
	if err := b.link.ready(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := b.link.nearly(ctx)
	defer cancel()
	type answer struct {
		server
		err error
	}
	nodes := b.link.client.Nodes()
	answers := make(chan answer, len(nodes))
	for address, node := range nodes {
		go func() {
			info, err := b.link.info(ctx, node)
			answers <- answer{server{address, info}, err}
		}()
	}
	err = ctx.Err() // where there are no nodes
	for range nodes {
		select {
		case a := <-answers:
			switch {
			case a.err != nil:
				err = a.err
			case a.info == nil || a.info["role"] == "master" || !b.link.cluster:
				all = append(all, a.server)
			}
			continue
		case <-b.link.closing:
			return nil, perdure.ErrClosed
		case <-ctx.Done():
			err = ended(ctx)
		}
		break
	}
	if len(all) > 0 {
		return all, nil
	}
	return nil, err
}

// info is what a node says of itself; nil where this user may not ask.
func (l *link) info(ctx context.Context, node rueidis.Client) (map[string]string, error) {
	text, err := node.Do(ctx, node.B().Arbitrary("INFO").Build()).ToString()
	if err == nil {
		return parseInfo(text), nil
	}
	if isDenied(err) {
		return nil, nil
	}
	return nil, l.failure(err)
}

func parseInfo(text string) map[string]string {
	info := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			info[name] = value
		}
	}
	return info
}

func (s *server) number(name string) int64 {
	n, _ := strconv.ParseInt(s.info[name], 10, 64)
	return n
}

// name is the product and its version.
func (s *server) name() string {
	if v := s.info["valkey_version"]; v != "" {
		return "valkey " + v
	}
	return "redis " + s.info["redis_version"]
}

// mode is how the server is set up.
func (b *Backend) mode() string { return string(b.link.client.Mode()) }
