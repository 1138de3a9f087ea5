package redis

import (
	"errors"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
)

func TestURLs(t *testing.T) {
	for text, want := range map[string]address{
		"redis://localhost":                        {hosts: []string{"localhost:6379"}},
		"redis://localhost:7000/3":                 {hosts: []string{"localhost:7000"}, database: 3},
		"rediss://h":                               {hosts: []string{"h:6379"}, tls: true},
		"redis://:secret@h":                        {hosts: []string{"h:6379"}, password: "secret"},
		"redis://u:p%40ss%3Aw%2Frd%3F%23%25@h:1/0": {hosts: []string{"h:1"}, username: "u", password: "p@ss:w/rd?#%"},
		"redis://u:a@b@h":                          {hosts: []string{"h:6379"}, username: "u", password: "a@b"},
		"redis://[::1]:7000":                       {hosts: []string{"[::1]:7000"}},
		"redis://[::1]":                            {hosts: []string{"[::1]:6379"}},
		"redis://a,b:7001,[fe80::1]":               {hosts: []string{"a:6379", "b:7001", "[fe80::1]:6379"}},
		"redis://:p@a,b:1,c/2?master_name=m":       {hosts: []string{"a:26379", "b:1", "c:26379"}, password: "p", master: "m", database: 2},
		"redis://a?prefix=x%3A&master_name=m":      {hosts: []string{"a:26379"}, prefix: "x:", master: "m"},
		"redis://a?master_name=m&sentinel_username=u&sentinel_password=p": {
			hosts: []string{"a:26379"}, master: "m", sentinelUsername: "u", sentinelPassword: "p"},
		"redis://u@h":                   {hosts: []string{"h:6379"}, username: "u"},
		"redis://u:@h":                  {hosts: []string{"h:6379"}, username: "u"},
		"valkey://:p@h":                 {hosts: []string{"h:6379"}, password: "p"},
		"valkeys://h/1":                 {hosts: []string{"h:6379"}, tls: true, database: 1},
		" redis://h/1\r\n":              {hosts: []string{"h:6379"}, database: 1},
		"unix:///run/redis.sock":        {hosts: []string{"/run/redis.sock"}},
		"unix://u:p@/run/r.sock?db=2":   {hosts: []string{"/run/r.sock"}, username: "u", password: "p", database: 2},
		"unix:///r.sock?prefix=x:&db=0": {hosts: []string{"/r.sock"}, prefix: "x:"},
	} {
		if got, err := parseURL(text); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is read as\n     %+v, %v\nwant %+v", text, got, err, want)
		}
	}
}

func TestWrongURLs(t *testing.T) {
	for text, says := range map[string]string{
		"":                                     "is missing",
		"localhost:6379":                       "redis://",
		"http://localhost":                     "redis://",
		"redis://":                             "host:port",
		"redis://h:":                           "host:port",
		"redis://h:0":                          "host:port",
		"redis://h:65536":                      "host:port",
		"redis://h:x":                          "host:port",
		"redis://a,,b":                         "host:port",
		"redis://h h":                          "host:port",
		"redis://::1":                          "host:port",
		"redis://h/x":                          "database",
		"redis://h/01":                         "database",
		"redis://h/-1":                         "database",
		"redis://a,b/1":                        "master_name",
		"redis://h\nredis://i":                 "host:port",
		"unix://":                              "path",
		"unix://h/run/redis.sock":              "path",
		"unix:///r.sock?db=x":                  "database",
		"unix:///r.sock?db=-1":                 "database",
		"unix:///r.sock?master_name=m":         "master_name",
		"redis://:hunter2/2@h":                 "%2F",
		"redis://:hunter2?2@h":                 "%2F",
		"redis://:hunter2#2@h":                 "%2F",
		"redis://:hunter2%@h":                  "%25",
		"redis://:hunter2%zz@h":                "%25",
		"redis://h?db=1":                       "unix",
		"redis://h?prefix=a&prefix=b":          "parameter",
		"redis://h?sentinel_password=hunter2%": "%25",
	} {
		_, err := parseURL(text)
		if !errors.Is(err, perdure.ErrInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: the error %v, want an ErrInvalid with %q", text, err, says)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the password is in the error %v", text, err)
		}
	}
}

func TestWrongOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"Prefix":       {URL: "redis://h", Prefix: "{app}:"},
		"CertFile":     {URL: "redis://h", CertFile: "cert.pem"},
		"Timeout":      {URL: "redis://h", Timeout: -1},
		"NearCacheAge": {URL: "redis://h", NearCacheAge: -1},
		"MaxClockSkew": {URL: "redis://h", MaxClockSkew: -1},
		"FeedLength":   {URL: "redis://h", FeedLength: -1},
		"CAFile":       {URL: "redis://h", CAFile: "/does/not/exist.pem"},
		"URL":          {},
	} {
		_, err := Open(t.Context(), o)
		var invalid *perdure.InvalidError
		if !errors.As(err, &invalid) || invalid.Field != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Open(t.Context(), Options{URL: "redis://h?prefix=a:", Prefix: "b:"}); !errors.Is(err, perdure.ErrInvalid) {
		t.Errorf("two prefixes: %v", err)
	}
}

// FuzzURL: nothing makes it panic, no error shows a password, and what it takes
// means the same when it is written again.
func FuzzURL(f *testing.F) {
	for _, text := range []string{
		"redis://u:p%40@a:1,[::1]:2/0?master_name=m", "rediss://:x@h/15?prefix=p", "redis://h", "redis://a:b:c@d@e", "redis://%00", "redis://h?%", "unix://u:p@/run/r.sock?db=2", "valkeys://u@h",
	} {
		f.Add(text, "secret")
	}
	f.Fuzz(func(t *testing.T, text, password string) {
		a, err := parseURL(text)
		if err == nil {
			if len(a.hosts) == 0 || a.database < 0 {
				t.Errorf("%q is read as %+v", text, a)
			}
			scheme, _, _ := strings.Cut(text, ":")
			user := url.UserPassword(a.username, a.password).String() + "@"
			again := scheme + "://" + user + strings.Join(a.hosts, ",")
			if b, err := parseURL(again); err != nil && a.password != "" || err == nil && (b.password != a.password || b.username != a.username) {
				t.Errorf("%q: %+v is written as %q and read as %+v, %v", text, a, again, b, err)
			}
		}
		if len(password) < 4 || strings.Contains("redis://user:password@host:6379/0 master_name sentinel_username sentinel_password", password) {
			return
		}
		for _, text := range []string{"redis://u:" + password + "@h:x", "redis://:" + password + "@", "redis://:" + password + "%@h"} {
			if _, err := parseURL(text); err != nil && strings.Contains(err.Error(), password) {
				t.Errorf("%q: the password is in %v", text, err)
			}
		}
	})
}

// TestWaysToWriteAnAddress: each of them leads to the server.
func TestWaysToWriteAnAddress(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "redis.sock")
	server := redistest.Start(t, redistest.Options{Config: []string{"unixsocket " + socket, "user ann on nopass ~* &* +@all"}})
	for _, url := range []string{
		"unix://" + socket, "unix://ann@" + socket + "?db=1", "redis://ann@" + server.Addr(), "valkey://" + server.Addr() + "\n",
	} {
		b, err := Open(t.Context(), Options{URL: url, Timeout: time.Minute})
		if err != nil {
			t.Errorf("%s: %v", url, err)
			continue
		}
		if err := b.Ping(t.Context()); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
}
