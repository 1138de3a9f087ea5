package factory_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/factory"
)

func TestOpenChooses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for _, c := range []struct {
		name               string
		config             factory.Config
		kind, address, why string
	}{
		{"auto", factory.Config{DataDir: dir}, "file", "file:" + dir, "SESSION_STORE_TYPE is auto and REDIS_URL is not set"},
		{"memory with a file", factory.Config{Type: factory.Memory, DataDir: dir, RedisURL: "redis://h"}, "file", "file:" + dir, "SESSION_STORE_TYPE is memory"},
		{"pure memory", factory.Config{DataDir: factory.DataDirNone}, "memory", "memory:", "PERDURE_DATA_DIR is none"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i, err := factory.Open(t.Context(), c.config, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer i.Close()
			if i.Kind() != c.kind || i.Address() != c.address || !strings.Contains(i.Why(), c.why) {
				t.Errorf("%s at %s, because %s", i.Kind(), i.Address(), i.Why())
			}
			if err := i.Ping(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRestart: the session is still there.
func TestRestart(t *testing.T) {
	config := factory.Config{DataDir: t.TempDir()}
	i, err := factory.Open(t.Context(), config, nil)
	if err != nil {
		t.Fatal(err)
	}
	session, err := i.Create(t.Context(), perdure.Data{UserID: "ada"})
	if err != nil {
		t.Fatal(err)
	}
	if second, err := factory.Open(t.Context(), config, nil); !errors.Is(err, perdure.ErrUnavailable) {
		t.Errorf("a second process on one directory: %v, %v", second, err)
	}
	if err := i.Close(); err != nil {
		t.Fatal(err)
	}
	if i, err = factory.OpenAddress(t.Context(), "file:"+config.DataDir, factory.Config{}, nil); err != nil {
		t.Fatal(err)
	}
	defer i.Close()
	if again, err := i.Get(t.Context(), session.ID); err != nil || again.Version != session.Version {
		t.Errorf("after a restart: %v, %v", again, err)
	}
}

func TestOpenRefusesWrongSettings(t *testing.T) {
	var wrong *factory.ConfigError
	if _, err := factory.Open(t.Context(), factory.Config{Type: "mongo"}, nil); !errors.As(err, &wrong) {
		t.Error(err)
	}
	if _, err := factory.OpenAddress(t.Context(), "memory:", factory.Config{MaxMetadata: 1}, nil); !errors.As(err, &wrong) {
		t.Error(err)
	}
}

func TestOpenBackendRefusesOtherAddresses(t *testing.T) {
	for _, address := range []string{"", "x", "mongodb://h", "file:", "/var/lib", "http://h:1/x", "http://u:hunter2@h:1", "redis:h", "redis://", "memory:x", "user:hunter2@h", "hunter2"} {
		_, err := factory.OpenBackend(t.Context(), address, factory.Config{}, nil)
		var wrong *factory.AddressError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), "redis://") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", address, err)
		}
	}
	for _, address := range []string{"redis://h?prefix={x}", "redis://h?prefix=", "redis://h?%zz", "redis://h/hunter2"} {
		_, err := factory.OpenBackend(t.Context(), address, factory.Config{}, nil)
		if !errors.Is(err, perdure.ErrInvalid) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestFileAddresses(t *testing.T) {
	dir := t.TempDir()
	for _, address := range []string{"file:" + dir, "file://" + dir} {
		backend, err := factory.OpenBackend(t.Context(), address, factory.Config{}, nil)
		if err != nil {
			t.Fatal(address, err)
		}
		backend.Close()
	}
	if _, err := os.Stat(filepath.Join(dir, "perdure.db")); err != nil {
		t.Error(err)
	}
}

// TestURLFile: a wrong file is refused by name, and nothing that it holds shown.
func TestURLFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte("hunter2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, config := range []factory.Config{
		{RedisURLFile: file}, {RedisURLFile: file + "x"}, {RedisURLFile: file, RedisURL: "redis://h"},
	} {
		_, err := factory.Open(t.Context(), config, nil)
		var wrong *factory.ConfigError
		if !errors.As(err, &wrong) || wrong.Name != "REDIS_URL_FILE" || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
	}
}
