package redis

import (
	"context"
	"strconv"
	"strings"
	"sync"

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
// of a Cluster that does not answer is passed over while others do.
func (b *Backend) servers(ctx context.Context) ([]server, error) {
	return inTime(ctx, b.link, func(ctx context.Context) (all []server, err error) {
		ctx, cancel := b.link.nearly(ctx)
		defer cancel()
		var mu sync.Mutex
		var asking sync.WaitGroup
		for address, node := range b.link.client.Nodes() {
			asking.Go(func() {
				text, failed := node.Do(ctx, node.B().Arbitrary("INFO").Build()).ToString()
				mu.Lock()
				defer mu.Unlock()
				s := server{address: address}
				if failed == nil {
					s.info = parseInfo(text)
				} else if reply, ok := rueidis.IsRedisErr(failed); !ok || !strings.HasPrefix(reply.Error(), "NOPERM") {
					err = b.link.failure(failed)
					return
				}
				if s.info == nil || s.info["role"] == "master" || !b.link.cluster {
					all = append(all, s)
				}
			})
		}
		asking.Wait()
		if len(all) > 0 {
			return all, nil
		}
		return nil, err
	})
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
