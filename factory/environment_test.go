package factory

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/backend/failover"
)

// TestPurposesNameTheChoices: who reads the table need not get a word wrong to
// learn which are allowed.
func TestPurposesNameTheChoices(t *testing.T) {
	choices := regexp.MustCompile(`^([a-z-]+, )*[a-z-]+ or [a-z-]+$`)
	for _, v := range Variables() {
		if v.Allowed == allowedBool || !choices.MatchString(v.Allowed) {
			continue
		}
		for _, choice := range strings.Split(strings.ReplaceAll(v.Allowed, " or ", ", "), ", ") {
			if !strings.Contains(strings.ToLower(v.Default+" "+v.Purpose), choice) {
				t.Errorf("%s may be %s, and its purpose does not say so", v.Name, choice)
			}
		}
	}
}

// TestVariablesAreTheTags: the table that people read agrees with the tags that
// the program reads, and with the defaults that it has.
func TestVariablesAreTheTags(t *testing.T) {
	tags := map[string]bool{}
	for _, s := range []any{Config{}, fallback{}, later{}} {
		for _, field := range reflect.VisibleFields(reflect.TypeOf(s)) {
			if name := field.Tag.Get("env"); name != "" {
				tags[name] = true
			}
		}
	}
	table := map[string]bool{}
	var defaults []string
	for _, v := range Variables() {
		if table[v.Name] = true; v.Allowed == "" || v.Purpose == "" {
			t.Errorf("%s is not explained", v.Name)
		}
		if v.Default != "" {
			defaults = append(defaults, v.Name+"="+v.Default)
		}
	}
	if !maps.Equal(tags, table) {
		t.Errorf("tags: %v\ntable: %v", slices.Sorted(maps.Keys(tags)), slices.Sorted(maps.Keys(table)))
	}
	c, notes, err := FromEnvironment(defaults)
	if err != nil || len(notes) > 0 || !reflect.DeepEqual(c, Config{}.withDefaults()) {
		t.Errorf("the defaults that the table tells are not those of the program: %+v, %q, %v", c, notes, err)
	}
}

func TestFromEnvironment(t *testing.T) {
	c, notes, err := FromEnvironment([]string{
		"HOME=/root", "SESSION_STORE_TYPE=redis", "REDIS_URL=rediss://u:p@h:1/2", "REDIS_TLS=true", "REDIS_KEY_PREFIX=mcp:",
		"REDIS_SESSION_TTL=90", "PERDURE_MAX_TTL=48h", "PERDURE_IDLE_TIMEOUT=30m", "PERDURE_REDIS_TIMEOUT=0.5s", "PERDURE_NEAR_CACHE=-1",
		"PERDURE_MAX_METADATA=128KiB", "PERDURE_MAX_MEMORY=2000000", "PERDURE_SWEEP_INTERVAL=-1", "PERDURE_DRAIN=-1", "PERDURE_DATA_DIR=",
		"REDIS_FALLBACK_ENABLED=false", "REDIS_MAX_RETRIES=0", "REDIS_RETRY_DELAY=250", "REDIS_HEALTH_CHECK_INTERVAL=5s",
		"PERDURE_MIRROR=full", "PERDURE_OUTAGE=read-only", "PERDURE_OUTAGE_MAX_AGE=90", "PERDURE_OUTAGE_MAX_DOWNTIME=10m", "PERDURE_DATA_LOSS=re-login",
		"PERDURE_ALLOWED_ORIGINS=https://a.example,http://b.example:8080", "PERDURE_LISTEN=localhost:0", "PERDURE_LOG_LEVEL=debug",
	})
	want := Config{
		Type: Redis, RedisURL: "rediss://u:p@h:1/2", RedisTLS: true, RedisPrefix: "mcp:", TTL: 90 * time.Second, MaxTTL: 48 * time.Hour,
		IdleTimeout: 30 * time.Minute, RedisTimeout: 500 * time.Millisecond, NearCache: -1, MaxMetadata: 128 << 10, MaxMemory: 2_000_000,
		SweepInterval: -time.Second, Drain: -time.Second, Origins: []string{"https://a.example", "http://b.example:8080"},
		Listen: "localhost:0", LogLevel: "debug",
		NoFallback: true, RedisMaxRetries: -1, RedisRetryDelay: 250 * time.Millisecond, RedisHealthCheckInterval: 5 * time.Second,
		Mirror: failover.MirrorFull, Outage: failover.OutageReadOnly, OutageMaxAge: 90 * time.Second, OutageMaxDowntime: 10 * time.Minute, DataLoss: failover.DataLossRelogin,
	}.withDefaults()
	if err != nil || len(notes) > 0 || !reflect.DeepEqual(c, want) {
		t.Errorf("got %+v\nnot %+v\n%q, %v", c, want, notes, err)
	}
	if c, _, err := FromEnvironment([]string{"REDIS_SESSION_TTL=10000h"}); err != nil || c.MaxTTL != 10000*time.Hour {
		t.Errorf("a long life moves its bound: %v, %v", c.MaxTTL, err)
	}
}

// TestWrongValues: each stops with its name, its value and what is allowed.
func TestWrongValues(t *testing.T) {
	for _, setting := range []string{
		"SESSION_STORE_TYPE=mongo", "SESSION_STORE_TYPE=redis", "SESSION_STORE_TYPE=Auto",
		"REDIS_TLS=maybe", "REDIS_KEY_PREFIX=a{b}", "REDIS_KEY_PREFIX=" + strings.Repeat("x", 129),
		"REDIS_SESSION_TTL=0", "REDIS_SESSION_TTL=-5", "REDIS_SESSION_TTL=1.5", "REDIS_SESSION_TTL=soon", "REDIS_SESSION_TTL=99999999999999999",
		"PERDURE_MAX_TTL=1h", "PERDURE_HORIZON=0", "PERDURE_IDLE_TIMEOUT=1ms", "PERDURE_MAX_METADATA=1", "PERDURE_MAX_METADATA=17MiB",
		"PERDURE_MAX_MEMORY=1KiB", "PERDURE_MAX_MEMORY=lots", "PERDURE_MAX_MEMORY=99999EiB", "PERDURE_SWEEP_INTERVAL=0", "PERDURE_FEED_LENGTH=5", "PERDURE_FEED_LENGTH=many",
		"PERDURE_MAX_CLOCK_SKEW=0", "PERDURE_LISTEN=8420", "PERDURE_LISTEN=localhost", "PERDURE_ALLOWED_ORIGINS=example.com",
		"PERDURE_ALLOWED_ORIGINS=https://a.example/", "PERDURE_DRAIN=1h", "PERDURE_LOG_LEVEL=loud", "PERDURE_LOG_FORMAT=xml",
		"PERDURE_REDIS_TIMEOUT=0", "PERDURE_NEAR_CACHE=0", "PERDURE_REDIS_CERT_FILE=x.pem", "PERDURE_REDIS_KEY_FILE=x.pem",
		"REDIS_FALLBACK_ENABLED=perhaps", "REDIS_MAX_RETRIES=-1", "REDIS_RETRY_DELAY=soon", "REDIS_HEALTH_CHECK_INTERVAL=x", "REDIS_RETRY_DELAY=9", "REDIS_HEALTH_CHECK_INTERVAL=50",
		"PERDURE_MIRROR=half", "PERDURE_OUTAGE=ignore", "PERDURE_OUTAGE_MAX_AGE=1ms", "PERDURE_OUTAGE_MAX_DOWNTIME=0", "PERDURE_DATA_LOSS=shrug",
		"SESSION_STORE_MONITORING_ENABLED=2", "SESSION_STORE_REPLICATION_ENABLED=x", "SESSION_STORE_MIGRATION_ENABLED=x", "PERDURE_ADMIN_LISTEN=8421",
	} {
		name, value, _ := strings.Cut(setting, "=")
		_, _, err := FromEnvironment([]string{setting})
		var wrong *ConfigError
		if !errors.As(err, &wrong) || wrong.Name != name || wrong.Value != value || wrong.Allowed == "" {
			t.Errorf("%s: %v", setting, err)
		}
	}
	_, _, err := FromEnvironment([]string{"REDIS_TLS=x", "PERDURE_LOG_LEVEL=y", "REDIS_RETRY_DELAY=z"})
	if text := fmt.Sprint(err); !strings.Contains(text, `REDIS_TLS is "x"`) || !strings.Contains(text, "REDIS_RETRY_DELAY") {
		t.Errorf("of several wrong values each is told: %v", err)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	for _, url := range []string{"http://u:hunter2@h", "hunter2", "redis:hunter2@h", "redis://", "redis:///hunter2"} {
		_, _, err := FromEnvironment([]string{"REDIS_URL=" + url})
		if err == nil || !strings.Contains(err.Error(), "REDIS_URL is wrong; allowed: redis://") || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
	for address, shown := range map[string]string{
		"redis://h:1":                          "redis://h:1",
		"rediss://u:p@h:1/3?master_name=m":     "rediss://h:1/3",
		"redis://:p@a:1,b:2":                   "redis://a:1,b:2",
		"redis://u:p@w@h:1/0":                  "redis://h:1/0",
		"redis://u:hunter2?x@h:1":              "redis://…",
		"redis://u:hunter2/x@h:1":              "redis://…",
		"redis://h:1?sentinel_password=x@y":    "redis://…",
		"redis://h:1/?sentinel_password=dings": "redis://h:1/",
	} {
		if got := withoutSecrets(address); got != shown {
			t.Errorf("%s is shown as %s, not %s", address, got, shown)
		}
	}
}

// TestNotes: what is set in vain is said.
func TestNotes(t *testing.T) {
	_, notes, err := FromEnvironment([]string{
		"SESSION_STORE_MIGRATION_ENABLED=true", "REDIS_RETRY_DELAY=1s", "REDIS_HEALTH_CHECK_INTERVAL=30000", "SESSION_STORE_REPLICATION_ENABLED=true",
		"PERDURE_DATADIR=/x", "SESSION_STORE_KIND=y", "PATH=/bin",
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"SESSION_STORE_MIGRATION_ENABLED=true", "SESSION_STORE_REPLICATION_ENABLED=true", "PERDURE_DATADIR", "SESSION_STORE_KIND"} {
		if !slices.ContainsFunc(notes, func(note string) bool { return strings.HasPrefix(note, want) }) {
			t.Errorf("nothing is said of %s", want)
		}
	}
	if len(notes) != 4 {
		t.Errorf("notes: %q", notes)
	}
}

// FuzzFromEnvironment: whatever a variable holds, it is taken within bounds or
// refused by name, and a secret stays one.
func FuzzFromEnvironment(f *testing.F) {
	for i, v := range Variables() {
		f.Add(uint(i), v.Default)
	}
	for i, value := range []string{"", "0", "-1", "1e9", "1.5s", "64KiB", "NaNB", "redis://u:p@h", "rediss://h,h:2?prefix=x", "true", "none", "[::1]:0", "https://a,b"} {
		f.Add(uint(i), value)
	}
	f.Fuzz(func(t *testing.T, which uint, value string) {
		name := Variables()[which%uint(len(Variables()))].Name
		c, _, err := FromEnvironment([]string{name + "=" + value})
		if err != nil {
			if !strings.Contains(err.Error(), name) {
				t.Errorf("%s=%q: %v", name, value, err)
			}
			if name == "REDIS_URL" && len(value) > 8 && strings.Contains(err.Error(), value) {
				t.Errorf("%q was shown: %v", value, err)
			}
			return
		}
		if err := c.check(nil); err != nil {
			t.Errorf("%s=%q was taken: %v", name, value, err)
		}
		if name == "REDIS_URL" && value != "" {
			if user, _, _ := strings.Cut(strings.SplitN(value, "://", 2)[1], "@"); strings.Contains(value, "@") && len(user) > 8 && strings.Contains(withoutSecrets(value), user) {
				t.Errorf("%q is shown as %q", value, withoutSecrets(value))
			}
		}
	})
}
