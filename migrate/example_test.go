package migrate_test

import (
	"context"
	"fmt"
	"log"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
	"github.com/perdure/perdure/migrate"
)

// Move all sessions from one store to another, and make sure that they are there.
func ExampleRun() {
	ctx := context.Background()
	old, err := local.Open(local.Options{}) // any backend
	if err != nil {
		log.Fatal(err)
	}
	store, err := perdure.New(old, perdure.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	session, err := store.Create(ctx, perdure.Data{UserID: "ada"})
	if err != nil {
		log.Fatal(err)
	}

	next, err := local.Open(local.Options{}) // and any other
	if err != nil {
		log.Fatal(err)
	}
	defer next.Close()
	result, err := migrate.Run(ctx, migrate.FromBackend(old), next, migrate.Options{})
	if err != nil {
		log.Fatal(err)
	}
	report, err := migrate.Verify(ctx, migrate.FromBackend(old), next, migrate.VerifyOptions{})
	if err != nil {
		log.Fatal(err)
	}
	moved, err := next.Get(ctx, session.ID)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Migrated, result.Failed, report.Checked, moved.Version == session.Version)
	// Output: 1 0 1 true
}

// Move sessions that are in use. A gate that stands between the services and the
// stores would hold writes for the moment of the cut-over; without one they have
// been stopped otherwise.
func ExampleLive() {
	ctx := context.Background()
	old, err := local.Open(local.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer old.Close()
	next, err := local.Open(local.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer next.Close()
	result, err := migrate.Live(ctx, old, next, nil, migrate.Options{})
	if err != nil {
		log.Fatal(err)
	}
	// The way back, while the services run on the new store.
	following, stop := context.WithCancel(ctx)
	stop()
	if _, err := migrate.Follow(following, next, old, result.Back, migrate.Options{}); err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.Failed)
	// Output: 0
}
