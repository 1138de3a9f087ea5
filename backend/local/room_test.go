package local_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// TestAFullBackendIsNotReady, and does not become so with each logout, only to be full
// again with the next login.
func TestAFullBackendIsNotReady(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "file": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, local.Options{Dir: dir, MaxBytes: 256 << 10, Timeout: time.Minute})
			store, err := perdure.New(b, perdure.Options{SweepInterval: -1})
			if err != nil {
				t.Fatal(err)
			}
			var ids []string
			create := func() error {
				s, err := store.Create(t.Context(), perdure.Data{UserID: fmt.Sprint("u", len(ids)), Metadata: map[string]any{"pad": string(make([]byte, 300))}})
				if err == nil {
					ids = append(ids, s.ID)
				}
				return err
			}
			if err := store.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
			for err = create(); err == nil; err = create() {
			}
			ready := func() bool {
				err := store.Ping(t.Context())
				if err != nil && !errors.Is(err, perdure.ErrFull) {
					t.Fatal(err)
				}
				return err == nil
			}
			if ready() {
				t.Errorf("it is ready, and a login is refused: %v", err)
			}
			became := 0
			for was := false; len(ids) > 0; was = ready() {
				for _, id := range ids[:min(5, len(ids))] {
					if ok, err := store.Delete(t.Context(), id); !ok || err != nil {
						t.Fatal(ok, err)
					}
				}
				if ids = ids[min(5, len(ids)):]; ready() != was {
					became++
				}
			}
			if became != 1 {
				t.Errorf("while all are logged out, whether it is ready has changed %d times", became)
			}
			if err := create(); err != nil {
				t.Error(err)
			}
		})
	}
}
