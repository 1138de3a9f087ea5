package factory_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/archive"
	"github.com/perdure/perdure/factory"
	"github.com/perdure/perdure/internal/redistest"
	"github.com/perdure/perdure/migrate"
)

// TestStores: what the forerunner's factory does, on names.
func TestStores(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	stores := factory.NewStores(nil)
	t.Cleanup(func() { stores.DestroyAll() })
	memory := factory.Config{Type: factory.Memory, DataDir: factory.DataDirNone}
	web, err := stores.Create(t.Context(), "", memory)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := stores.Create(t.Context(), factory.DefaultName, memory); !errors.Is(err, perdure.ErrExists) {
		t.Errorf("a second one of a name: %v", err)
	}
	if _, err := stores.Create(t.Context(), "bad", factory.Config{TTL: -1}); err == nil {
		t.Error("a wrong setting is taken")
	}
	if _, err := stores.Create(t.Context(), "api", factory.Config{RedisURL: server.URL(), DataDir: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	if got, err := stores.Get(""); err != nil || got != web || len(stores.List()) != 2 {
		t.Errorf("%v, %v; %d stores", got, err, len(stores.List()))
	}
	made, err := web.Create(t.Context(), perdure.Data{UserID: "ann"})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := stores.Migrate(t.Context(), "", "api", migrate.Options{}); err != nil || r.Migrated != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	has := func(name string) {
		t.Helper()
		i, err := stores.Get(name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := i.Get(t.Context(), made.ID); err != nil || got.Version != made.Version || !got.CreatedAt.Equal(made.CreatedAt) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	has("api")

	var file bytes.Buffer
	if s, err := stores.Backup(t.Context(), "api", &file, archive.BackupOptions{}); err != nil || s.Header.Source == "" {
		t.Fatal(s, err)
	}
	if _, err := stores.Create(t.Context(), "new", memory); err != nil {
		t.Fatal(err)
	}
	f, err := archive.Open(bytes.NewReader(file.Bytes()), archive.OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if r, err := stores.Restore(t.Context(), "new", f, archive.RestoreOptions{}); err != nil || r.Restored != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	has("new")

	if h := stores.Health(t.Context()); h.Overall != factory.ConditionHealthy || len(h.Stores) != 3 || h.Stores["api"].Failover == nil {
		t.Errorf("%+v", h)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	api, _ := stores.Get("api")
	if _, err := api.Create(t.Context(), perdure.Data{UserID: "ann"}); err != nil {
		t.Error(err)
	}
	if h := stores.Health(t.Context()); h.Overall != factory.ConditionDegraded || h.Stores["api"].Condition != factory.ConditionDegraded {
		t.Errorf("without Redis: %+v", h)
	}
	if err := stores.Destroy("new"); err != nil {
		t.Error(err)
	}
	for _, err := range []error{stores.Destroy("new"), func() error {
		_, err := stores.Switch(t.Context(), "new", "memory:", factory.SwitchOptions{})
		return err
	}()} {
		if !errors.Is(err, perdure.ErrNotFound) {
			t.Errorf("one that is gone: %v", err)
		}
	}
	if err := stores.DestroyAll(); err != nil || len(stores.List()) != 0 {
		t.Errorf("%v; %d are left", err, len(stores.List()))
	}
}
