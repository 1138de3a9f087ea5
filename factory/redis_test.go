package factory_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/factory"
	"github.com/perdure/perdure/internal/redistest"
)

const password = "hunter2/?@:%"

func open(t *testing.T, config factory.Config) *factory.Instance {
	t.Helper()
	if config.DataDir == "" {
		config.DataDir = t.TempDir()
	}
	i, err := factory.Open(t.Context(), config, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Close() })
	return i
}

func count(t *testing.T, i *factory.Instance) int {
	t.Helper()
	page, err := i.List(t.Context(), perdure.ListQuery{})
	if err != nil {
		t.Fatal(err)
	}
	return len(page.Sessions)
}

func TestRedis(t *testing.T) {
	server := redistest.Start(t, redistest.Options{Username: "app", Password: password})
	config := factory.Config{RedisURL: server.URL(), RedisPrefix: "one:"}
	i := open(t, config)
	if i.Kind() != "redis" || i.Address() != "redis://"+server.Addr() || !strings.Contains(i.Why(), "REDIS_URL is set") {
		t.Errorf("%s at %s, because %s", i.Kind(), i.Address(), i.Why())
	}
	if _, err := i.Create(t.Context(), perdure.Data{UserID: "ada"}); err != nil {
		t.Fatal(err)
	}
	if n := count(t, open(t, config)); n != 1 {
		t.Errorf("a second process sees %d sessions", n)
	}
	if n := count(t, open(t, factory.Config{RedisURL: server.URL()})); n != 0 {
		t.Errorf("another prefix sees %d sessions", n)
	}
	other, err := factory.OpenAddress(t.Context(), server.URL()+"?prefix=one:", factory.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if n := count(t, other); n != 1 || other.Address() != i.Address() {
		t.Errorf("the prefix in the address sees %d sessions at %s", n, other.Address())
	}
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte(server.URL()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if i := open(t, factory.Config{RedisURLFile: file, RedisPrefix: "one:"}); count(t, i) != 1 || !strings.Contains(i.Why(), "REDIS_URL_FILE is set") {
		t.Errorf("from a file: %s", i.Why())
	}
}

func TestRedisOverTLS(t *testing.T) {
	server := redistest.Start(t, redistest.Options{TLS: true})
	config := factory.Config{RedisCAFile: server.CAFile(), RedisCertFile: server.CertFile(), RedisKeyFile: server.KeyFile()}
	for address, on := range map[string]bool{"rediss://" + server.Addr(): false, "redis://" + server.Addr(): true} {
		config.RedisURL, config.RedisTLS = address, on
		if err := open(t, config).Ping(t.Context()); err != nil {
			t.Error(address, err)
		}
	}
	stranger := factory.Config{RedisURL: "rediss://" + server.Addr()}
	stranger.NoFallback = true
	if _, err := factory.Open(t.Context(), stranger, nil); !errors.Is(err, perdure.ErrInvalid) {
		t.Errorf("a server with a certificate that nobody vouches for: %v", err)
	}
}

// TestRedisIsNotThere: the error says what was tried and what to do, and not the
// password.
func TestRedisIsNotThere(t *testing.T) {
	server := redistest.Start(t, redistest.Options{Password: password})
	check := func(address string, words ...string) {
		t.Helper()
		_, err := factory.Open(t.Context(), factory.Config{RedisURL: address, NoFallback: true}, nil)
		if !errors.Is(err, perdure.ErrUnavailable) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%v", err)
		}
		for _, word := range append(words, server.Addr(), "REDIS_URL says where") {
			if !strings.Contains(err.Error(), word) {
				t.Errorf("%q is not in %v", word, err)
			}
		}
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	check(server.URL(), "refused")

	var invalid *perdure.InvalidError
	_, err := factory.Open(t.Context(), factory.Config{RedisURL: "redis://h/notadatabase", DataDir: factory.DataDirNone}, nil)
	if !errors.As(err, &invalid) || invalid.Field != "REDIS_URL" {
		t.Errorf("%v", err)
	}
	_, err = factory.Open(t.Context(), factory.Config{RedisURL: server.URL(), RedisCAFile: "/does/not/exist", DataDir: factory.DataDirNone}, nil)
	if err == nil || !strings.Contains(err.Error(), "/does/not/exist") {
		t.Errorf("%v", err)
	}
}
