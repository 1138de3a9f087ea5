package redis

import (
	"context"
	"slices"
	"strings"
)

// Incarnation names the history of what the server holds, in a Cluster that of
// all masters: it is another after a restart and after a failover, when writes
// that were acknowledged may be missing. It is empty where this user may not ask
// for it (INFO).
func (b *Backend) Incarnation(ctx context.Context) (string, error) {
	servers, err := b.servers(ctx)
	if err != nil {
		return "", err
	}
	var ids []string
	for _, s := range servers {
		id := s.info["master_replid"]
		if id == "" {
			return "", nil
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return strings.Join(ids, ","), nil
}

// Connections is how many connections were made so far, but for those that were
// made beside others to the same server. A server that was restarted or replaced is
// reached by one in the place of another: while the number stays, so does the
// incarnation.
func (b *Backend) Connections() uint64 { return b.gate.made.Load() }
