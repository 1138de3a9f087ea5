package failover_test

import (
	"context"
	"fmt"
	"log"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/backend/redis"
)

// A store on a Redis that is not there (yet): sessions are served all the same,
// and merged when it appears.
func Example() {
	ctx := context.Background()
	backend, err := failover.Open(ctx, failover.Options{
		Open: func(ctx context.Context) (perdure.Backend, error) {
			return redis.Open(ctx, redis.Options{URL: "redis://127.0.0.1:1", TimeoutAll: true})
		},
		// Dir: "/var/lib/perdure", so that what is written in an outage survives a crash too.
	})
	if err != nil {
		log.Fatal(err)
	}
	store, err := perdure.New(backend, perdure.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	session, err := store.Create(ctx, perdure.Data{UserID: "ann"})
	if err != nil {
		log.Fatal(err)
	}
	session, err = store.Get(ctx, session.ID)
	fmt.Println(session.UserID, err)
	health := backend.Health(ctx)
	fmt.Println(health.State, health.Redis.Available, health.JournalDepth)
	// Output:
	// ann <nil>
	// degraded false 1
}
