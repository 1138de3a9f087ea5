package perdure_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

func Example() {
	ctx := context.Background()
	backend, err := local.Open(local.Options{}) // or redis.Open(ctx, redis.Options{URL: "redis://localhost:6379"})
	if err != nil {
		log.Fatal(err)
	}
	store, err := perdure.New(backend, perdure.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()

	session, err := store.Create(ctx, perdure.Data{UserID: "ann", Roles: []string{"user"}, Metadata: map[string]any{"theme": "dark"}})
	if err != nil {
		log.Fatal(err)
	}
	session, err = store.Get(ctx, session.ID)
	fmt.Println(session.UserID, session.Roles, session.Metadata.String("theme"), err)

	ended, err := store.RevokeUser(ctx, "ann")
	fmt.Println(ended, err)

	_, err = store.Get(ctx, session.ID)
	fmt.Println(errors.Is(err, perdure.ErrNotFound))
	// Output:
	// ann [user] dark <nil>
	// 1 <nil>
	// true
}

func ExampleStore_Update() {
	ctx := context.Background()
	store := exampleStore()
	defer store.Close()
	session, _ := store.Create(ctx, perdure.Data{UserID: "ann", Metadata: map[string]any{"theme": "dark", "draft": 1}})

	// Only what is set changes; a nil value removes a key.
	session, err := store.Update(ctx, session.ID, perdure.Patch{Metadata: map[string]any{"theme": "light", "draft": nil}})
	theme, _ := session.Metadata.MarshalJSON()
	fmt.Println(string(theme), err)

	// A change of the version that was read, or none.
	expected := session.Version
	_, err = store.Update(ctx, session.ID, perdure.Patch{Roles: []string{"admin"}, Expected: expected})
	fmt.Println(err)
	_, err = store.Update(ctx, session.ID, perdure.Patch{Roles: []string{"guest"}, Expected: expected})
	fmt.Println(errors.Is(err, perdure.ErrConflict))
	// Output:
	// {"theme":"light"} <nil>
	// <nil>
	// true
}

func ExampleStore_Rotate() {
	ctx := context.Background()
	store := exampleStore()
	defer store.Close()
	anonymous, _ := store.Create(ctx, perdure.Data{UserID: "ann"})

	// At every change of privilege: the same session under a new id.
	session, err := store.Rotate(ctx, anonymous.ID, 0)
	fmt.Println(session.ID != anonymous.ID, err)
	alive, err := store.Exists(ctx, anonymous.ID)
	fmt.Println(alive, err)
	// Output:
	// true <nil>
	// false <nil>
}

func ExampleStore_Watch() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	store := exampleStore()
	defer store.Close()
	session, _ := store.Create(ctx, perdure.Data{UserID: "ann"})
	store.Delete(ctx, session.ID)

	for batch, err := range store.Watch(ctx, perdure.FromOldest) {
		if err != nil {
			log.Fatal(err)
		}
		for _, change := range batch.Changes {
			fmt.Printf("%s %q\n", change.Kind, change.Reason)
		}
		// Keep batch.Next: it is where to go on, after a restart too.
		if len(batch.Changes) == 2 {
			break
		}
	}
	// Output:
	// created ""
	// deleted "logout"
}

func ExampleStore_List() {
	ctx := context.Background()
	store := exampleStore()
	defer store.Close()
	for range 3 {
		store.Create(ctx, perdure.Data{UserID: "ann"})
	}
	n := 0
	for query := (perdure.ListQuery{PageSize: 2}); ; {
		page, err := store.List(ctx, query)
		if err != nil {
			log.Fatal(err)
		}
		n += len(page.Sessions)
		if query.PageToken = page.NextPageToken; query.PageToken == "" {
			break
		}
	}
	fmt.Println(n)
	// Output:
	// 3
}

func exampleStore() *perdure.Store {
	backend, err := local.Open(local.Options{})
	if err != nil {
		log.Fatal(err)
	}
	store, err := perdure.New(backend, perdure.Options{})
	if err != nil {
		log.Fatal(err)
	}
	return store
}
