package factory_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/factory"
	"github.com/perdure/perdure/internal/redistest"
)

// await returns when failover is in the state.
func await(t *testing.T, i *factory.Instance, want failover.State) failover.Health {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
		h, ok := i.Failover(t.Context())
		if ok && h.State == want {
			return h
		}
		if !ok || time.Now().After(deadline) {
			t.Fatalf("not %s: %+v", want, h)
		}
	}
}

// TestRedisAppearsLater: absent at the start is an outage like any other.
func TestRedisAppearsLater(t *testing.T) {
	server := redistest.Start(t, redistest.Options{Password: password})
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	i := open(t, factory.Config{RedisURL: server.URL(), RedisRetryDelay: 20 * time.Millisecond})
	if h := await(t, i, failover.Degraded); h.Redis.Available || !h.JournalDurable || h.Redis.Error == "" && h.Reason == "" {
		t.Errorf("%+v", h)
	}
	made, err := i.Create(t.Context(), perdure.Data{UserID: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if h := await(t, i, failover.Healthy); h.JournalDepth != 0 {
		t.Errorf("%+v", h)
	}
	other, err := factory.OpenAddress(t.Context(), server.URL(), factory.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if got, err := other.Get(t.Context(), made.ID); err != nil || got.Version != made.Version {
		t.Errorf("on Redis itself: %+v, %v", got, err)
	}
}

// TestTwoProcessesShareADataDirectory: each has a journal of its own there.
func TestTwoProcessesShareADataDirectory(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	config := factory.Config{RedisURL: server.URL(), DataDir: t.TempDir()}
	one, two := open(t, config), open(t, config)
	made, err := one.Create(t.Context(), perdure.Data{UserID: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := two.Get(t.Context(), made.ID); err != nil {
		t.Error(err)
	}
}

func TestAJournalThatCannotBe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := factory.Open(t.Context(), factory.Config{RedisURL: "redis://127.0.0.1:1", DataDir: file}, nil)
	var wrong *factory.ConfigError
	if !errors.As(err, &wrong) || wrong.Name != "PERDURE_DATA_DIR" || wrong.Value != file {
		t.Errorf("%v", err)
	}
}

// TestTwoServicesShareADataDirectory: what one writes in an outage does not end up in
// the store of the other.
func TestTwoServicesShareADataDirectory(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	config := factory.Config{RedisURL: server.URL(), RedisPrefix: "a:", DataDir: t.TempDir()}
	one, err := factory.Open(t.Context(), config, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, err := one.Create(t.Context(), perdure.Data{UserID: "ada"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := one.Close(); err != nil {
		t.Fatal(err)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		prefix string
		want   int
	}{{"b:", 0}, {"a:", 20}} {
		config.RedisPrefix = c.prefix
		i := open(t, config)
		await(t, i, failover.Healthy)
		all, err := i.GetByUserID(t.Context(), "ada")
		for errors.Is(err, perdure.ErrUnavailable) { // what redis has lost may be on its way back
			time.Sleep(10 * time.Millisecond)
			all, err = i.GetByUserID(t.Context(), "ada")
		}
		if err != nil || len(all) != c.want {
			t.Errorf("prefix %s has %d sessions, %v; want %d", c.prefix, len(all), err, c.want)
		}
	}
}
