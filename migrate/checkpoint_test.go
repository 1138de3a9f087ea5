package migrate_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
	"github.com/perdure/perdure/migrate"
)

// interrupted is a run that is interrupted after some pages, and its checkpoint.
func interrupted(t *testing.T, source, target perdure.Backend, o migrate.Options, pages int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var scans atomic.Int64
	counting := &faulty{Backend: source, scan: func(perdure.ScanQuery) error {
		if scans.Add(1) == pages {
			cancel()
		}
		return nil
	}}
	result, err := migrate.Run(ctx, migrate.FromBackend(counting), target, o)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, %+v", err, result)
	}
	if info, err := os.Stat(o.Checkpoint); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the checkpoint is %v, %v", info, err)
	}
}

// TestResume: what was moved is not moved again, what has changed meanwhile comes
// along, and the checkpoint is gone in the end.
func TestResume(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	for name, open := range map[string]func(testing.TB) perdure.Backend{
		"memory": memory, "redis": func(t testing.TB) perdure.Backend { return onRedis(t, server.URL()) },
	} {
		t.Run(name, func(t *testing.T) {
			source, target := open(t), memory(t)
			sessions := seed(t, source, 100)
			o := migrate.Options{Reading: migrate.Reading{BatchSize: 5, Workers: 2}, Checkpoint: filepath.Join(t.TempDir(), "checkpoint"), Name: "a to b"}
			interrupted(t, source, target, o, 150)
			store := storeOn(t, source, perdure.Options{})
			for _, id := range sessions.live[:10] {
				must[bool](t)(store.Delete(t.Context(), id))
			}
			late := must[perdure.Session](t)(store.Create(t.Context(), perdure.Data{UserID: "late"})).ID
			o.Resume = true
			var scans atomic.Int64
			counting := &faulty{Backend: source, scan: func(perdure.ScanQuery) error { scans.Add(1); return nil }}
			result := run(t, counting, target, o)
			if again := scans.Load() - perdure.Partitions; again > 150 { // but for the comparison
				t.Errorf("it read %d pages again", again)
			}
			if result.Migrated < int64(len(sessions.live))-10+1 || result.Duration <= 0 {
				t.Errorf("in both runs: %+v", result)
			}
			wantSame(t, source, target)
			if ok := must[bool](t)(storeOn(t, target, perdure.Options{}).Exists(t.Context(), late)); !ok {
				t.Error("what came while it stood still is missing")
			}
			if _, err := os.Stat(o.Checkpoint); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the checkpoint is still there: %v", err)
			}
			if files, _ := os.ReadDir(filepath.Dir(o.Checkpoint)); len(files) > 0 {
				t.Errorf("left behind: %v", files)
			}
		})
	}
}

// TestResumeElsewhere: a checkpoint whose feed does not outlive its process has
// the source read anew.
func TestResumeElsewhere(t *testing.T) {
	dir := t.TempDir()
	open := func() perdure.Backend { return opened(t)(openFile(dir)) }
	source, target := open(), memory(t)
	sessions := seed(t, source, 60)
	o := migrate.Options{Reading: migrate.Reading{BatchSize: 5}, Checkpoint: filepath.Join(t.TempDir(), "checkpoint")}
	interrupted(t, source, target, o, 200)
	if err := source.Close(); err != nil {
		t.Fatal(err)
	}
	source = open()
	must[bool](t)(storeOn(t, source, perdure.Options{}).Delete(t.Context(), sessions.live[0]))
	o.Resume = true
	run(t, source, target, o)
	wantSame(t, source, target)
}

// TestResumeAnotherWay: a checkpoint whose cursors are those of another way to the same
// source, such as through its daemon, has the source read anew.
func TestResumeAnotherWay(t *testing.T) {
	for name, cursor := range map[string]*regexp.Regexp{
		"feed": regexp.MustCompile(`("feed":\s*")`), "pages": regexp.MustCompile(`("\d+":\s*")`),
	} {
		source, target := memory(t), memory(t)
		seed(t, source, 60)
		o := migrate.Options{Reading: migrate.Reading{BatchSize: 1, Workers: 1}, Checkpoint: filepath.Join(t.TempDir(), "checkpoint")}
		interrupted(t, source, target, o, 150)
		written := must[[]byte](t)(os.ReadFile(o.Checkpoint))
		altered := cursor.ReplaceAll(written, []byte("${1}b665c103."))
		if name == "pages" && string(altered) == string(written) {
			altered = regexp.MustCompile(`"cursors":\s*\{`).ReplaceAll(written, []byte(`"cursors":{"255":"b665c103.x"`))
		}
		if string(altered) == string(written) {
			t.Fatalf("%s: no cursor in %s", name, written)
		}
		if err := os.WriteFile(o.Checkpoint, altered, 0o600); err != nil {
			t.Fatal(err)
		}
		o.Resume = true
		run(t, source, target, o)
		wantSame(t, source, target)
	}
}

func TestCheckpointRefused(t *testing.T) {
	source, target := memory(t), memory(t)
	seed(t, source, 30)
	path := filepath.Join(t.TempDir(), "checkpoint")
	o := migrate.Options{Checkpoint: path, Name: "a to b", Reading: migrate.Reading{BatchSize: 5}}
	interrupted(t, source, target, o, 100)
	refused := func(o migrate.Options, text string) {
		t.Helper()
		before := must[[]byte](t)(os.ReadFile(path))
		_, err := migrate.Run(t.Context(), migrate.FromBackend(source), memory(t), o)
		if !errors.Is(err, migrate.ErrCheckpoint) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), text) {
			t.Errorf("%v", err)
		}
		if after := must[[]byte](t)(os.ReadFile(path)); string(before) != string(after) {
			t.Error("the file was changed")
		}
	}
	refused(o, "resume it, or remove")
	o.Resume = true
	o.Name = "a to c"
	refused(o, `"a to c"`)
	o.Name = "a to b"
	for _, content := range []string{"", "{", `{"format":3,"name":"a to b"}`, "null"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		refused(o, "remove it to begin anew")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	run(t, source, target, o) // killed before it had one
	o.Checkpoint = filepath.Join(t.TempDir(), "no", "such", "directory")
	if _, err := migrate.Run(t.Context(), migrate.FromBackend(source), target, o); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// TestRate: sessions leave no faster than they may.
func TestRate(t *testing.T) {
	source, target := memory(t), memory(t)
	sessions := seed(t, source, 60)
	const rate = 200
	result := run(t, source, target, migrate.Options{Rate: rate, Reading: migrate.Reading{BatchSize: 1}})
	if least := time.Duration(len(sessions.live)-1) * time.Second / rate; result.Duration < least {
		t.Errorf("%d sessions took %v, less than %v", len(sessions.live), result.Duration, least)
	}
}
