package local_test

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// TestAFileIsCompacted by a start where most of it is room, and by Compact: what it
// holds stays as it was, and it goes on being written to, under its name.
func TestAFileIsCompacted(t *testing.T) {
	options := local.Options{Dir: t.TempDir(), Timeout: time.Minute}
	size := func() int64 {
		t.Helper()
		info, err := os.Stat(dataFile(options.Dir))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	b := open(t, options)
	records := newSessions(4000)
	for i := range records {
		records[i].Body = string(bytes.Repeat([]byte{'x'}, 2000))
	}
	fill(t, b, records)
	kept, gone := records[:50], records[50:]
	holds := func(b *local.Backend) {
		t.Helper()
		ids := make([]string, len(kept))
		for i := range kept {
			ids[i] = kept[i].ID
		}
		found, err := b.Load(t.Context(), ids)
		if err != nil || !slices.Equal(found, kept) {
			t.Fatalf("it does not hold what it held, %v", err)
		}
		if stats, err := b.Stats(t.Context()); err != nil || stats.Sessions != int64(len(kept)) {
			t.Fatalf("%+v, %v", stats, err)
		}
	}
	if err := b.Forget(t.Context(), gone); err != nil {
		t.Fatal(err)
	}
	if err := b.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	large := size()
	if done, err := b.Compact(t.Context()); err != nil || done.Before != large || done.After != size() || size() > large/10 {
		t.Errorf("from %d bytes to %d: %+v, %v", large, size(), done, err)
	}
	holds(b)
	wantOpenError(t, options.Dir, perdure.ErrUnavailable, "another process")

	fill(t, b, gone[:2000])
	if err := b.Forget(t.Context(), gone[:2000]); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dataFile(options.Dir)+".new", []byte("of a compaction that was cut short"), 0o600); err != nil {
		t.Fatal(err)
	}
	large = size()
	b = open(t, options)
	if size() > large/10 {
		t.Errorf("a start has %d of %d bytes left", size(), large)
	}
	holds(b)
	if _, err := os.Stat(dataFile(options.Dir) + ".new"); !os.IsNotExist(err) {
		t.Errorf("something is left over: %v", err)
	}
	kept = append(slices.Clone(kept), gone[0])
	fill(t, b, gone[:1])
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	small := size()
	b = open(t, options)
	holds(b)
	if size() != small {
		t.Errorf("a start has compacted a small file: from %d bytes to %d", small, size())
	}
}

// TestWhoWaitsForAFileThatIsCompacted gets the one that has taken its place.
func TestWhoWaitsForAFileThatIsCompacted(t *testing.T) {
	dir := t.TempDir()
	b := open(t, local.Options{Dir: dir, Timeout: time.Minute})
	fill(t, b, newSessions(10))
	waiting := make(chan *local.Backend)
	go func() {
		next, err := local.Open(local.Options{Dir: dir, LockWait: time.Minute})
		if err != nil {
			t.Error(err)
		}
		waiting <- next
	}()
	for range 3 { // the other may come at any moment of these
		if _, err := b.Compact(t.Context()); err != nil {
			t.Fatal(err)
		}
		fill(t, b, newSessions(10))
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if next := <-waiting; next != nil {
		defer next.Close()
		if stats, err := next.Stats(t.Context()); err != nil || stats.Sessions != 40 {
			t.Errorf("it holds %d of 40 sessions, %v", stats.Sessions, err)
		}
		fill(t, next, newSessions(1)) // which it refuses if another file has its name
	}
}

// TestAFileOfNoBytes is not a store without sessions: what makes a file gives it its
// name once it is whole.
func TestAFileOfNoBytes(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dataFile(dir), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantOpenError(t, dir, local.ErrDamaged, dataFile(dir), "is empty")
	if info, err := os.Stat(dataFile(dir)); err != nil || info.Size() != 0 {
		t.Errorf("it does not stay as it is: %v, %v", info, err)
	}
	if err := os.Rename(dataFile(dir), dataFile(dir)+".new"); err != nil { // as of a first start that was cut short
		t.Fatal(err)
	}
	open(t, local.Options{Dir: dir})
	if _, err := os.Stat(dataFile(dir) + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was begun is left over: %v", err)
	}
}
