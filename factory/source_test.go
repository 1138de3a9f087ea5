package factory

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
)

// TestOpenSource: every kind of source, and what it is called.
func TestOpenSource(t *testing.T) {
	server := redistest.Start(t, redistest.Options{Password: "hunter2"})
	dir := filepath.Join(t.TempDir(), "data")
	for address, want := range map[string]struct {
		kind, shown string
		backend     bool
	}{
		"file:" + dir: {"file", "file:" + dir, true},
		server.URL():  {"redis", "redis://" + server.Addr(), true},
		"puppeteer-mcp+" + server.URL() + "?prefix=mcp:":                        {"puppeteer-mcp", "puppeteer-mcp+redis://" + server.Addr(), false},
		"connect-redis+" + server.URL() + "/0?prefix=s:&user=account.id&ttl=1h": {"connect-redis", "connect-redis+redis://" + server.Addr() + "/0", false},
	} {
		s, err := OpenSource(t.Context(), address, Config{}, nil)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		if s.Kind != want.kind || s.Address != want.shown || (s.Backend != nil) != want.backend {
			t.Errorf("%s is %+v", address, s)
		}
		if n, err := s.Count(t.Context()); n != 0 || err != nil {
			t.Errorf("%s: %d sessions, %v", address, n, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	for address, text := range map[string]string{
		"connect-redis+redis://h?ttl=-1":         "ttl",
		"connect-redis+redis://h?%zz":            "parameters",
		"puppeteer-mcp+redis://h?user=x":         "unknown",
		"puppeteer-mcp+mongodb://hunter2@h":      "another product",
		"puppeteer-mcp+redis://u:hunter2@h:x/2@": "'@'",
	} {
		_, err := OpenSource(t.Context(), address, Config{}, nil)
		var wrong *AddressError
		if !errors.As(err, &wrong) && !errors.Is(err, perdure.ErrInvalid) || !strings.Contains(err.Error(), text) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := OpenSource(t.Context(), "puppeteer-mcp+redis://u:hunter2@127.0.0.1:1", Config{}, nil); !errors.Is(err, perdure.ErrUnavailable) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("%v", err)
	}
	if _, err := OpenBackend(t.Context(), "puppeteer-mcp+redis://h", Config{}, nil); err == nil || !strings.Contains(err.Error(), "only be read") {
		t.Errorf("%v", err)
	}
}
