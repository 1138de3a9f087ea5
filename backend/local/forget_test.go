package local

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/perdure/perdure"
)

// crash opens what a crash at this moment would leave of the data directory.
func crash(t *testing.T, b *Backend) *Backend {
	t.Helper()
	data, err := os.ReadFile(b.file.path)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, fileName), data, 0o600); err != nil {
		t.Fatal(err)
	}
	return openTest(t, Options{Dir: dir})
}

func wantSessions(t *testing.T, when string, b *Backend, want int) {
	t.Helper()
	stats, err := b.Stats(t.Context())
	if err != nil || int(stats.Sessions) != want {
		t.Errorf("%s: %d sessions, want %d, %v", when, stats.Sessions, want, err)
	}
}

// What is forgotten is gone for readers at once, and for good with the next commit.
func TestForget(t *testing.T) {
	b := openTest(t, Options{Dir: t.TempDir()})
	records := make([]perdure.Record, 10)
	for i := range records {
		records[i] = session(i)
		if _, err := b.Apply(t.Context(), putOf(records[i])); err != nil {
			t.Fatal(err)
		}
	}
	changed := records[4]
	changed.LastAccess++
	before := commits(t, b)
	if err := b.Forget(t.Context(), append([]perdure.Record{changed, records[0]}, records[:4]...)); err != nil {
		t.Fatal(err)
	}
	wantSessions(t, "four forgotten", b, 6)
	if err := b.Sync(t.Context(), records[5].ID); err != nil || commits(t, b) != before {
		t.Errorf("what was not forgotten was waited for: %v", err)
	}
	wantSessions(t, "after a crash", crash(t, b), 10)
	if err := b.Sync(t.Context(), records[0].ID); err != nil {
		t.Fatal(err)
	}
	wantSessions(t, "after a crash once it is in the file", crash(t, b), 6)
	before = commits(t, b)
	if err := b.Sync(t.Context()); err != nil || commits(t, b) != before {
		t.Errorf("a commit of nothing: %v", err)
	}
}

// A record that is forgotten and stored again is there, one that was not is gone,
// and the file, which knows how many it has, is whole.
func TestForgottenAndStoredAgain(t *testing.T) {
	dir := t.TempDir()
	b := openTest(t, Options{Dir: dir})
	again, gone := session(1), session(2)
	for _, r := range []perdure.Record{again, gone} {
		if _, err := b.Apply(t.Context(), putOf(r)); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Forget(t.Context(), []perdure.Record{again, gone}); err != nil {
		t.Fatal(err)
	}
	if results, err := b.Apply(t.Context(), putOf(again)); err != nil || results[0].Outcome != perdure.Applied {
		t.Fatal(results, err)
	}
	wantSessions(t, "after a crash", crash(t, b), 1)
	if err := b.Forget(t.Context(), []perdure.Record{again}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	wantSessions(t, "after Close", openTest(t, Options{Dir: dir}), 0)
}

// A data file that takes no writes keeps nobody from forgetting, and Sync says so.
func TestForgetWithoutTheFile(t *testing.T) {
	b := openTest(t, Options{Dir: t.TempDir()})
	r := session(1)
	if _, err := b.Apply(t.Context(), putOf(r)); err != nil {
		t.Fatal(err)
	}
	b.file.failed = perdure.ErrUnavailable
	if err := b.Forget(t.Context(), []perdure.Record{r}); err != nil {
		t.Fatal(err)
	}
	wantSessions(t, "forgotten", b, 0)
	if err := b.Sync(t.Context(), r.ID); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("Sync: %v", err)
	}
	b.file.failed = nil
	if err := b.Sync(t.Context(), r.ID); err != nil {
		t.Errorf("once it takes writes again: %v", err)
	}
	wantSessions(t, "after a crash", crash(t, b), 0)
}
