package local_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// A session outlives the process that made it.
func Example() {
	dir, err := os.MkdirTemp("", "perdure")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	start := func() *perdure.Store {
		backend, err := local.Open(local.Options{Dir: dir})
		if err != nil {
			log.Fatal(err)
		}
		store, err := perdure.New(backend, perdure.Options{})
		if err != nil {
			log.Fatal(err)
		}
		return store
	}

	store := start()
	session, err := store.Create(context.Background(), perdure.Data{UserID: "42", Username: "ada"})
	if err != nil {
		log.Fatal(err)
	}
	store.Close()

	store = start()
	defer store.Close()
	again, err := store.Get(context.Background(), session.ID)
	fmt.Println(again.Username, err)
	// Output: ada <nil>
}
