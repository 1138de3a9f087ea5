package factory

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/perdure/perdure/backend/failover"
)

// check returns a *ConfigError for each setting out of its bounds, joined. Where
// values holds a setting as it was written, that is what the error shows.
func (c *Config) check(values map[string]string) error {
	var wrong []error
	rule := func(ok bool, name string, value any) {
		if !ok {
			wrong = append(wrong, refuse(name, cmp.Or(values[name], fmt.Sprint(value))))
		}
	}
	rule(slices.Contains([]Type{Auto, Redis, Memory}, c.Type), "SESSION_STORE_TYPE", c.Type)
	rule(isPrefix(c.RedisPrefix), "REDIS_KEY_PREFIX", c.RedisPrefix)
	rule(between(c.RedisTimeout, 10*time.Millisecond, time.Minute), "PERDURE_REDIS_TIMEOUT", c.RedisTimeout)
	rule(c.NearCache < 0 || c.NearCache >= 1<<20, "PERDURE_NEAR_CACHE", c.NearCache)
	rule(c.MaxMemory >= 1<<20, "PERDURE_MAX_MEMORY", c.MaxMemory)
	rule(c.RedisRetryDelay >= 10*time.Millisecond, "REDIS_RETRY_DELAY", c.RedisRetryDelay)
	rule(c.RedisHealthCheckInterval >= 100*time.Millisecond, "REDIS_HEALTH_CHECK_INTERVAL", c.RedisHealthCheckInterval)
	rule(slices.Contains([]failover.Mirror{failover.MirrorAuto, failover.MirrorSeen, failover.MirrorFull}, c.Mirror), "PERDURE_MIRROR", c.Mirror)
	rule(slices.Contains([]failover.Outage{failover.OutageServe, failover.OutageReadOnly, failover.OutageRefuse}, c.Outage), "PERDURE_OUTAGE", c.Outage)
	rule(c.OutageMaxAge == 0 || c.OutageMaxAge >= time.Second, "PERDURE_OUTAGE_MAX_AGE", c.OutageMaxAge)
	rule(c.OutageMaxDowntime >= time.Second, "PERDURE_OUTAGE_MAX_DOWNTIME", c.OutageMaxDowntime)
	rule(slices.Contains([]failover.DataLoss{failover.DataLossReseed, failover.DataLossRelogin}, c.DataLoss), "PERDURE_DATA_LOSS", c.DataLoss)
	rule(c.TTL >= time.Second, "REDIS_SESSION_TTL", c.TTL)
	rule(c.MaxTTL >= c.TTL, "PERDURE_MAX_TTL", c.MaxTTL)
	rule(c.Horizon >= time.Second, "PERDURE_HORIZON", c.Horizon)
	rule(c.IdleTimeout == 0 || c.IdleTimeout >= time.Second, "PERDURE_IDLE_TIMEOUT", c.IdleTimeout)
	rule(between(c.MaxMetadata, 2, 16<<20), "PERDURE_MAX_METADATA", c.MaxMetadata)
	rule(c.SweepInterval < 0 || c.SweepInterval >= 100*time.Millisecond, "PERDURE_SWEEP_INTERVAL", c.SweepInterval)
	rule(c.FeedLength == 0 || between(c.FeedLength, 1<<10, 1<<24), "PERDURE_FEED_LENGTH", c.FeedLength)
	rule(between(c.MaxClockSkew, time.Second, time.Hour), "PERDURE_MAX_CLOCK_SKEW", c.MaxClockSkew)
	rule(isAddress(c.Listen), "PERDURE_LISTEN", c.Listen)
	rule(c.AdminListen == AdminNone || isAddress(c.AdminListen), "PERDURE_ADMIN_LISTEN", c.AdminListen)
	rule(!slices.ContainsFunc(c.Origins, isNoOrigin), "PERDURE_ALLOWED_ORIGINS", strings.Join(c.Origins, ","))
	rule(c.Drain <= 5*time.Minute, "PERDURE_DRAIN", c.Drain)
	rule(slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel), "PERDURE_LOG_LEVEL", c.LogLevel)
	rule(slices.Contains([]string{"auto", "text", "json"}, c.LogFormat), "PERDURE_LOG_FORMAT", c.LogFormat)
	return errors.Join(append(wrong, c.checkRedis()...)...)
}

// checkRedis looks at the settings of Redis that depend on each other.
func (c *Config) checkRedis() (wrong []error) {
	switch {
	case c.RedisURL != "" && c.RedisURLFile != "":
		wrong = append(wrong, refuse("REDIS_URL_FILE", c.RedisURLFile))
	case c.RedisURL != "" && !isRedis(c.RedisURL):
		wrong = append(wrong, refuse("REDIS_URL", ""))
	case c.Type == Redis && c.RedisURL == "" && c.RedisURLFile == "":
		wrong = append(wrong, &ConfigError{Name: "SESSION_STORE_TYPE", Value: string(c.Type), Allowed: "redis together with REDIS_URL, which is not set; else auto or memory"})
	}
	if (c.RedisCertFile == "") != (c.RedisKeyFile == "") {
		name, value := "PERDURE_REDIS_CERT_FILE", c.RedisCertFile
		if value == "" {
			name, value = "PERDURE_REDIS_KEY_FILE", c.RedisKeyFile
		}
		wrong = append(wrong, &ConfigError{Name: name, Value: value, Allowed: "PERDURE_REDIS_CERT_FILE and PERDURE_REDIS_KEY_FILE, both or neither"})
	}
	return wrong
}

func between[T cmp.Ordered](value, least, most T) bool { return least <= value && value <= most }

// isPrefix is for prefixes of keys: braces would move all keys into one slot of
// a Cluster.
func isPrefix(s string) bool {
	return between(len(s), 1, 128) && !strings.ContainsAny(s, "{}")
}

func isAddress(s string) bool {
	_, port, err := net.SplitHostPort(s)
	return err == nil && port != ""
}

func isNoOrigin(s string) bool {
	u, err := url.Parse(s)
	return err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || s != u.Scheme+"://"+u.Host
}

// isRedis reports whether s begins as the address of a Redis does. The rest is
// read by the backend.
func isRedis(s string) bool {
	scheme, rest, _ := strings.Cut(s, "://")
	switch scheme {
	case "redis", "rediss", "valkey", "valkeys":
		return rest != "" && !strings.ContainsAny(rest[:1], "/?")
	case "unix":
		return rest != ""
	}
	return false
}
