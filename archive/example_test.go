package archive_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"filippo.io/age"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/archive"
	"github.com/perdure/perdure/backend/local"
)

func exampleStore() *perdure.Store {
	backend, err := local.Open(local.Options{}) // or redis.Open(ctx, redis.Options{URL: "redis://localhost:6379"})
	if err != nil {
		log.Fatal(err)
	}
	store, err := perdure.New(backend, perdure.Options{})
	if err != nil {
		log.Fatal(err)
	}
	return store
}

// A backup into a file that only the holder of the key can read.
func ExampleBackup() {
	ctx := context.Background()
	store := exampleStore()
	defer store.Close()
	if _, err := store.Create(ctx, perdure.Data{UserID: "ada"}); err != nil {
		log.Fatal(err)
	}

	key, err := age.GenerateX25519Identity() // its public half is enough here
	if err != nil {
		log.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "perdure")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	var summary archive.Summary
	err = archive.WriteFile(filepath.Join(dir, "sessions.perdure"), false, func(out io.Writer) (err error) {
		summary, err = archive.Backup(ctx, store.Backend(), out, archive.BackupOptions{
			Source: "memory:", Recipients: []age.Recipient{key.Recipient()},
		})
		return err
	})
	fmt.Println(summary.Footer.Sessions, err)
	// Output: 1 <nil>
}

// A restore gives back what is missing, and undoes no logout.
func ExampleFile_Restore() {
	ctx := context.Background()
	store := exampleStore()
	defer store.Close()
	ada, _ := store.Create(ctx, perdure.Data{UserID: "ada"})
	bob, _ := store.Create(ctx, perdure.Data{UserID: "bob"})

	backup, err := os.CreateTemp("", "perdure")
	if err != nil {
		log.Fatal(err)
	}
	defer os.Remove(backup.Name())
	if _, err := archive.Backup(ctx, store.Backend(), backup, archive.BackupOptions{}); err != nil {
		log.Fatal(err)
	}
	store.Delete(ctx, bob.ID) // he logs out after the backup

	file, err := archive.Open(backup, archive.OpenOptions{})
	if err != nil {
		log.Fatal(err)
	}
	done, err := file.Restore(ctx, &perdure.Merger{Backend: store.Backend(), Clock: perdure.NewClock(nil)}, archive.RestoreOptions{})
	fmt.Println("the same store:", done.Restored, "restored,", done.Unchanged, "unchanged,", done.LeftDead, "left dead,", err)

	other := exampleStore()
	defer other.Close()
	done, err = file.Restore(ctx, &perdure.Merger{Backend: other.Backend(), Clock: perdure.NewClock(nil)}, archive.RestoreOptions{})
	fmt.Println("a new store:", done.Restored, "restored,", err)
	session, err := other.Get(ctx, ada.ID)
	fmt.Println(session.UserID, session.ID == ada.ID, err)
	// Output:
	// the same store: 0 restored, 1 unchanged, 1 left dead, <nil>
	// a new store: 2 restored, <nil>
	// ada true <nil>
}
