package redis

import (
	"context"

	"github.com/redis/rueidis"
)

// Dial connects to the servers that the options name, as Open does, for whoever
// reads there what another product has stored. The client keeps nothing of what
// it reads. Close it. Errors are those of Open.
func Dial(ctx context.Context, options Options) (rueidis.Client, error) {
	options.NearCacheBytes = -1
	o, a, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	o.clientName = "perdure" // it uses no sessions of ours
	client, _, err := connect(ctx, &o, &a, newGate(a.master != ""), nil)
	return client, err
}
