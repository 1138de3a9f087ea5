package factory_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/factory"
	"github.com/perdure/perdure/internal/redistest"
	"github.com/perdure/perdure/migrate"
)

// silently has a switch find that its target goes silent once some sessions were moved.
func silently(target *redistest.Server) factory.SwitchOptions {
	var once sync.Once
	var o factory.SwitchOptions
	o.Migrate.Rate, o.Migrate.BatchSize, o.Migrate.Workers = 100, 1, 1
	o.Migrate.Timeout, o.Migrate.Patience, o.Migrate.ProgressInterval = time.Second, 2*time.Second, time.Millisecond
	o.Migrate.Progress = func(p migrate.Progress) {
		if p.Phase == migrate.PhaseBackfill && p.Done > 5 {
			once.Do(func() { _ = target.Stop() })
		}
	}
	return o
}

// journalsOf are the folders of a data directory whose journals are of a store.
func journalsOf(t *testing.T, dir, address string) (folders []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "failover", "*", "store"))
	must(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		must(t, err)
		if strings.Contains(string(text), address) {
			folders = append(folders, filepath.Dir(file))
		}
	}
	return folders
}

// TestSwitchToWhatGoesSilent: the instance stays where it is, and can be switched to
// other stores, and to that one when it is back. Nothing waits for it on the disk: a
// restart merges nothing into it.
func TestSwitchToWhatGoesSilent(t *testing.T) {
	t.Parallel()
	here, silent, there := redistest.Start(t, redistest.Options{}), redistest.Start(t, redistest.Options{}), redistest.Start(t, redistest.Options{})
	config := factory.Config{Type: factory.Redis, RedisURL: here.URL(), DataDir: t.TempDir()}
	i := open(t, config)
	var ids []string
	for range 60 {
		ids = append(ids, login(t, i).ID)
	}
	s, err := i.Switch(t.Context(), silent.URL(), silently(silent))
	if err == nil {
		t.Fatalf("it was switched: %+v", s)
	}
	logout(t, i, ids[0])
	must(t, silent.Continue())
	for _, folder := range journalsOf(t, config.DataDir, silent.Addr()) {
		if _, err := os.Stat(filepath.Join(folder, "alive")); err == nil {
			text, _ := os.ReadFile(filepath.Join(folder, "store"))
			t.Errorf("a journal waits in %s of %s", folder, text)
		}
	}
	for _, to := range []string{there.URL(), silent.URL(), here.URL()} {
		if s, err := i.Switch(t.Context(), to, factory.SwitchOptions{}); err != nil {
			t.Fatalf("to %s: %+v, %v", to, s, err)
		}
		wantAll(t, i, true, ids[1:]...)
		wantAll(t, i, false, ids[0])
	}
}

// TestWhatARestartMerges: what was written in an outage of the store that a daemon was
// switched to is merged into that one alone, though the daemon is started elsewhere
// meanwhile.
func TestWhatARestartMerges(t *testing.T) {
	t.Parallel()
	here, there := redistest.Start(t, redistest.Options{}), redistest.Start(t, redistest.Options{Persist: true})
	config := factory.Config{Type: factory.Redis, RedisURL: here.URL(), DataDir: t.TempDir()}
	i := open(t, config)
	before := login(t, i).ID
	_, err := i.Switch(t.Context(), there.URL(), factory.SwitchOptions{})
	must(t, err)
	must(t, there.Kill())
	late := login(t, i).ID
	logout(t, i, before)
	must(t, i.Close())

	// Its environment was not changed: it goes back.
	i = open(t, config)
	wantAll(t, i, true, before)
	if _, err := i.Get(t.Context(), late); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("a session that waits for the other store: %v", err)
	}
	if stats, err := i.Backend().Stats(t.Context()); err != nil || stats.Sessions != 1 {
		t.Errorf("%d sessions, %v", stats.Sessions, err)
	}
	must(t, i.Close())
	must(t, there.Restart(t.Context()))
	config.RedisURL = there.URL()
	i = open(t, config)
	eventually(t, func() bool { return healthOf(t, i).JournalDepth == 0 })
	wantAll(t, i, true, late)
	wantAll(t, i, false, before)
}

// TestSwitchOfOneOfTwo: where another process uses the store, an instance is not switched
// away from it, unless that is asked for; one of another prefix is no other.
func TestSwitchOfOneOfTwo(t *testing.T) {
	t.Parallel()
	here, there := redistest.Start(t, redistest.Options{}), redistest.Start(t, redistest.Options{})
	config := factory.Config{Type: factory.Redis, RedisURL: here.URL(), DataDir: t.TempDir()}
	one, two := open(t, config), open(t, config)
	config.RedisPrefix = "elsewhere:"
	open(t, config)
	_, err := one.Switch(t.Context(), there.URL(), factory.SwitchOptions{})
	var invalid *perdure.InvalidError
	if !errors.As(err, &invalid) || !strings.Contains(err.Error(), "used by others too") || strings.Count(err.Error(), " at 127.0.0.1") != 1 {
		t.Fatalf("%v", err)
	}
	id := login(t, one).ID
	logout(t, two, id)
	wantAll(t, one, false, id)
	must(t, two.Close())
	eventually(t, func() bool { // the server has noticed that the connections are gone
		_, err := one.Switch(t.Context(), there.URL(), factory.SwitchOptions{})
		return err == nil
	})
	three := open(t, factory.Config{Type: factory.Redis, RedisURL: there.URL(), DataDir: t.TempDir()})
	wantAll(t, three, false, id)
	_, err = one.Switch(t.Context(), here.URL(), factory.SwitchOptions{DespiteOthers: true})
	must(t, err)
}
