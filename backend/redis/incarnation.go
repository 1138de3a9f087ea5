package redis

import (
	"context"
	"slices"
	"strings"
)

// Incarnation names the history of what the server holds, in a Cluster that of
// all masters: it is another after a restart and after a failover, when writes
// that were acknowledged may be missing.
func (b *Backend) Incarnation(ctx context.Context) (string, error) {
	servers, err := b.servers(ctx)
	if err != nil {
		return "", err
	}
	var ids []string
	for _, s := range servers {
		ids = append(ids, s.info["master_replid"])
	}
	slices.Sort(ids)
	return strings.Join(ids, ","), nil
}
