package factory_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/factory"
	"github.com/perdure/perdure/internal/redistest"
)

// TestSettingsAreNamedAsTheyWereSet, never as options of a package.
func TestSettingsAreNamedAsTheyWereSet(t *testing.T) {
	guarded := redistest.Start(t, redistest.Options{Password: "opensesame"})
	secure := redistest.Start(t, redistest.Options{TLS: true})
	evicting := redistest.Start(t, redistest.Options{Config: []string{"maxmemory 100mb", "maxmemory-policy allkeys-lru"}})
	file := filepath.Join(t.TempDir(), "url")
	must(t, os.WriteFile(file, []byte("redis://:hunter2@"+guarded.Addr()), 0o600))
	fields := regexp.MustCompile(`\b(the URL|CAFile|CertFile|RefuseEviction|MaxBytes)\b`)
	for name, c := range map[string]struct {
		config factory.Config
		says   string
	}{
		"a password in a file":     {factory.Config{RedisURLFile: file}, "correct REDIS_URL_FILE=" + file},
		"a password":               {factory.Config{RedisURL: "redis://:hunter2@" + guarded.Addr()}, "correct REDIS_URL"},
		"an unknown authority":     {factory.Config{RedisURL: "rediss://" + secure.Addr()}, "PERDURE_REDIS_CA_FILE"},
		"eviction":                 {factory.Config{RedisURL: evicting.URL(), RedisRefuseEviction: true}, "PERDURE_REDIS_REFUSE_EVICTION"},
		"a password, as Sentinels": {factory.Config{RedisURL: "redis://:opensesame@" + guarded.Addr() + "?master_name=m"}, "master_name"},
	} {
		c.config.DataDir = t.TempDir()
		i, err := factory.Open(t.Context(), c.config, nil)
		if err == nil {
			i.Close()
			t.Errorf("%s: it starts", name)
			continue
		}
		if text := err.Error(); !errors.Is(err, perdure.ErrInvalid) || !strings.Contains(text, c.says) || fields.MatchString(text) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func limited(t *testing.T, server *redistest.Server, user string, rules ...string) string {
	t.Helper()
	_, err := server.Do(append([]string{"ACL", "SETUSER", user, "on", ">hunter2", "+@all"}, rules...)...)
	must(t, err)
	return "redis://" + user + ":hunter2@" + server.Addr()
}

// TestAnAnswerIsNotAnAbsence: where a server answers and the configuration does not
// fit it, the start fails and says which setting is wrong, failover or not. To go on
// would split logins into a store that nobody else sees.
func TestAnAnswerIsNotAnAbsence(t *testing.T) {
	plain := redistest.Start(t, redistest.Options{})
	secure := redistest.Start(t, redistest.Options{TLS: true})
	guarded := redistest.Start(t, redistest.Options{Password: "opensesame"})
	renamed := redistest.Start(t, redistest.Options{Config: []string{"rename-command TIME hidden"}})
	evicting := redistest.Start(t, redistest.Options{Config: []string{"maxmemory 100mb", "maxmemory-policy allkeys-lru"}})
	group := redistest.StartSentinel(t, redistest.SentinelOptions{})
	for name, c := range map[string]struct {
		config factory.Config
		says   string
	}{
		"a wrong password":   {factory.Config{RedisURL: "redis://:hunter2@" + guarded.Addr()}, "WRONGPASS"},
		"no password":        {factory.Config{RedisURL: "redis://" + guarded.Addr()}, "NOAUTH"},
		"no such database":   {factory.Config{RedisURL: plain.URL() + "/99"}, "database"},
		"TLS to plain":       {factory.Config{RedisURL: "rediss://" + plain.Addr()}, "redis://"},
		"plain to TLS":       {factory.Config{RedisURL: "redis://" + secure.Addr()}, "rediss://"},
		"not a Cluster":      {factory.Config{RedisURL: "redis://" + plain.Addr() + "," + plain.Addr()}, "Cluster"},
		"not a Sentinel":     {factory.Config{RedisURL: "redis://" + plain.Addr() + "?master_name=m"}, "Sentinel"},
		"a Sentinel":         {factory.Config{RedisURL: "redis://" + group.Sentinels()[0].Addr()}, "Sentinel"},
		"no such master":     {factory.Config{RedisURL: strings.ReplaceAll(group.URL(), "master_name=", "master_name=x")}, "master_name"},
		"no permission":      {factory.Config{RedisURL: limited(t, plain, "nowrite", "~*", "-xadd")}, "ACL"},
		"another's keys":     {factory.Config{RedisURL: limited(t, plain, "elsewhere", "~other:*")}, "ACL"},
		"a renamed command":  {factory.Config{RedisURL: renamed.URL()}, "renamed"},
		"an evicting server": {factory.Config{RedisURL: evicting.URL(), RedisRefuseEviction: true}, "allkeys-lru"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, c.config.NoFallback = range []bool{false, true} {
				c.config.DataDir = t.TempDir()
				i, err := factory.Open(t.Context(), c.config, nil)
				if err == nil {
					h, _ := i.Failover(t.Context())
					if i.Close(); !c.config.NoFallback {
						t.Errorf("it starts, and is %s: %s", h.State, h.Reason)
					}
					continue
				}
				if !errors.Is(err, perdure.ErrInvalid) || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("%v", err)
				}
				if !strings.Contains(err.Error(), "REDIS_URL") && !strings.Contains(err.Error(), "REDIS_") && !c.config.RedisRefuseEviction {
					t.Errorf("it names no setting: %v", err)
				}
			}
		})
	}
}

// TestAnOutageIsNotAnAnswer: what passes by itself does not keep a process from
// starting.
func TestAnOutageIsNotAnAnswer(t *testing.T) {
	for name, begin := range map[string]func(s *redistest.Server, admin *redistest.Conn) error{
		"it is away": func(s *redistest.Server, _ *redistest.Conn) error { return s.Kill() },
		"it hangs":   func(s *redistest.Server, _ *redistest.Conn) error { return s.Stop() },
		"a replica": func(_ *redistest.Server, a *redistest.Conn) error {
			_, err := a.Do("REPLICAOF", "127.0.0.1", "1")
			return err
		},
		"it is full": func(_ *redistest.Server, a *redistest.Conn) error {
			_, err := a.Do("CONFIG", "SET", "maxmemory", "1")
			return err
		},
		"too many": func(_ *redistest.Server, a *redistest.Conn) error {
			_, err := a.Do("CONFIG", "SET", "maxclients", "1")
			return err
		},
		"its own are gone": func(_ *redistest.Server, a *redistest.Conn) error {
			_, err := a.Do("CONFIG", "SET", "min-replicas-to-write", "1")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := redistest.Start(t, redistest.Options{})
			admin, err := server.Dial(t.Context())
			must(t, err)
			defer admin.Close()
			must(t, begin(server, admin))
			i := open(t, factory.Config{RedisURL: server.URL()})
			if h, _ := i.Failover(t.Context()); h.State != failover.Degraded {
				t.Errorf("%+v", h)
			}
			login(t, i)
		})
	}
}

// TestAJournalStartsAllTheSame, and loudly: what was acknowledged in it is served.
func TestAJournalStartsAllTheSame(t *testing.T) {
	server := redistest.Start(t, redistest.Options{Password: "opensesame"})
	config := factory.Config{RedisURL: server.URL(), DataDir: t.TempDir()}
	must(t, server.Kill())
	i := open(t, config)
	made := login(t, i)
	must(t, i.Close())
	must(t, server.Restart(t.Context()))
	config.RedisURL = "redis://:hunter2@" + server.Addr()
	var log bytes.Buffer
	i, err := factory.Open(t.Context(), config, slog.New(slog.NewTextHandler(&log, nil)))
	must(t, err)
	if got, err := i.Get(t.Context(), made.ID); err != nil || got.ID != made.ID {
		t.Errorf("%+v, %v", got, err)
	}
	must(t, i.Close())
	if text := log.String(); !strings.Contains(text, "level=ERROR") || !strings.Contains(text, "WRONGPASS") || !strings.Contains(text, "correct REDIS_URL") || strings.Contains(text, "store address") || strings.Contains(text, "hunter2") {
		t.Errorf("the log says:\n%s", text)
	}
}

// TestAPasswordIsRotated: the file that holds it is read again for each new
// connection, in an outage and out of it.
func TestAPasswordIsRotated(t *testing.T) {
	server := redistest.Start(t, redistest.Options{Password: "first"})
	admin, err := server.Dial(t.Context())
	must(t, err)
	defer admin.Close()
	do := func(args ...string) {
		t.Helper()
		_, err := admin.Do(args...)
		must(t, err)
	}
	file := filepath.Join(t.TempDir(), "url")
	write := func(password string) {
		t.Helper()
		must(t, os.WriteFile(file, []byte("redis://:"+password+"@"+server.Addr()), 0o600))
	}
	write("first")
	i := open(t, factory.Config{RedisURLFile: file})
	await(t, i, failover.Healthy)
	login(t, i)

	// First the file, then the server: nobody notices.
	write("second")
	do("CONFIG", "SET", "requirepass", "second")
	do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	for range 20 {
		login(t, i)
	}
	await(t, i, failover.Healthy)

	// First the server: an outage until the file is there.
	do("CONFIG", "SET", "requirepass", "third")
	do("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
	login(t, i)
	for h := await(t, i, failover.Degraded); !strings.Contains(h.Reason, "correct REDIS_URL_FILE="+file); h = await(t, i, failover.Degraded) {
		time.Sleep(time.Millisecond)
	}
	write("not a URL")
	login(t, i)
	write("third")
	if h := await(t, i, failover.Healthy); h.JournalDepth > 0 {
		t.Errorf("%+v", h)
	}
	must(t, i.Close())

	// A process that starts while its server is away finds the password of later.
	must(t, server.Kill())
	i = open(t, factory.Config{RedisURLFile: file})
	await(t, i, failover.Degraded)
	write("first") // which the server has in its configuration
	must(t, server.Restart(t.Context()))
	await(t, i, failover.Healthy)
}
