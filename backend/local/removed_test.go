package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// store puts a session and reports whether that was acknowledged.
func store(t *testing.T, b *local.Backend, r perdure.Record) error {
	t.Helper()
	results, err := b.Apply(t.Context(), []perdure.Batch{put(r, perdure.Version{})})
	if err != nil {
		return err
	}
	if results[0].Outcome != perdure.Applied {
		t.Errorf("%+v", results[0])
	}
	return results[0].Err
}

// wantAll fails unless all that was acknowledged is there after a restart.
func wantAll(t *testing.T, b *local.Backend, dir string, records ...perdure.Record) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	b = open(t, local.Options{Dir: dir})
	for _, r := range records {
		if got, err := b.Get(t.Context(), r.ID); err != nil || got.Version != r.Version {
			t.Errorf("after a restart: %+v, %v", got, err)
		}
	}
}

// TestTheDataDirectoryIsRemoved while the store runs: what is acknowledged after
// that has a name, and what was before has one again.
func TestTheDataDirectoryIsRemoved(t *testing.T) {
	for name, remove := range map[string]func(dir string) error{
		"the directory": os.RemoveAll,
		"the file":      func(dir string) error { return os.Remove(dataFile(dir)) },
		"it was moved":  func(dir string) error { return os.Rename(dir, dir+"-elsewhere") },
		"all above it":  func(dir string) error { return os.RemoveAll(filepath.Dir(dir)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "parent", "data")
			b := open(t, local.Options{Dir: dir})
			sessions := newSessions(3)
			if err := store(t, b, sessions[0]); err != nil {
				t.Fatal(err)
			}
			if err := remove(dir); err != nil {
				t.Fatal(err)
			}
			if err := store(t, b, sessions[1]); err != nil {
				t.Errorf("a write: %v", err)
			}
			if err := b.Ping(t.Context()); err != nil {
				t.Errorf("a ping: %v", err)
			}
			if err := store(t, b, sessions[2]); err != nil {
				t.Errorf("another write: %v", err)
			}
			if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) != 1 {
				t.Errorf("the directory holds %v, %v", left, err)
			}
			wantAll(t, b, dir, sessions...)
		})
	}
}

// TestTheDataFileCannotBeMadeAnew: nothing is acknowledged into a file that has no
// name, the error says what to do, and once that is done nothing is missing.
func TestTheDataFileCannotBeMadeAnew(t *testing.T) {
	for name, c := range map[string]struct{ spoil, repair func(dir string) error }{
		"a file is in the place of the directory": {
			func(dir string) error { return errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)) },
			os.Remove,
		},
		"another file is in its place": {
			func(dir string) error {
				return errors.Join(os.Remove(dataFile(dir)), os.WriteFile(dataFile(dir), []byte("another"), 0o600))
			},
			func(dir string) error { return os.Remove(dataFile(dir)) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			b := open(t, local.Options{Dir: dir})
			sessions := newSessions(3)
			if err := store(t, b, sessions[0]); err != nil {
				t.Fatal(err)
			}
			if err := c.spoil(dir); err != nil {
				t.Fatal(err)
			}
			if err := store(t, b, sessions[1]); !errors.Is(err, perdure.ErrUnavailable) || !strings.Contains(err.Error(), dir) {
				t.Errorf("a write: %v", err)
			}
			if got, err := b.Get(t.Context(), sessions[1].ID); err != nil || got.Exists() {
				t.Errorf("a write that was refused: %+v, %v", got, err)
			}
			if err := b.Ping(t.Context()); !errors.Is(err, perdure.ErrUnavailable) {
				t.Errorf("a ping: %v", err)
			}
			if err := c.repair(dir); err != nil {
				t.Fatal(err)
			}
			if err := b.Ping(t.Context()); err != nil {
				t.Errorf("a ping, after the repair: %v", err)
			}
			if err := store(t, b, sessions[2]); err != nil {
				t.Errorf("a write, after the repair: %v", err)
			}
			wantAll(t, b, dir, sessions[0], sessions[2])
		})
	}
}
