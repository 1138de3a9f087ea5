package factory

import (
	"cmp"
	"strings"
	"time"

	"github.com/perdure/perdure/backend/failover"
)

// Config says which store to run on, and how. The zero value works.
// FromEnvironment reads it from the environment; each field's tag is the name of
// its variable there, and Variables says what each may be.
type Config struct {
	// Type says which store to run on. Defaults to Auto.
	Type Type `env:"SESSION_STORE_TYPE"`

	// RedisURL is where Redis or Valkey is: redis:// or rediss://, with
	// user:password@, a /database, commas between the hosts of a Cluster, and
	// ?master_name= for Sentinel. It may hold a password and is never shown.
	// Defaults to none.
	RedisURL string `env:"REDIS_URL"`
	// RedisURLFile is a file that holds what RedisURL would: for a secret that
	// is mounted. User and password in it are read again for each new connection.
	// Defaults to none.
	RedisURLFile string `env:"REDIS_URL_FILE"`
	// RedisTLS turns TLS on for redis:// too. Defaults to false.
	RedisTLS bool `env:"REDIS_TLS"`
	// RedisCAFile holds the certificates to trust, in PEM. Defaults to those of
	// the system.
	RedisCAFile string `env:"PERDURE_REDIS_CA_FILE"`
	// RedisCertFile and RedisKeyFile are the client's certificate and its key,
	// in PEM. Default to none.
	RedisCertFile string `env:"PERDURE_REDIS_CERT_FILE"`
	RedisKeyFile  string `env:"PERDURE_REDIS_KEY_FILE"`
	// RedisPrefix begins every key. Defaults to "perdure:".
	RedisPrefix string `env:"REDIS_KEY_PREFIX"`
	// RedisTimeout bounds a call to Redis whose caller gave no deadline.
	// Defaults to 1 second.
	RedisTimeout time.Duration `env:"PERDURE_REDIS_TIMEOUT"`
	// RedisRefuseEviction refuses a server that is set up to evict keys: it would
	// end live sessions. Defaults to a warning.
	RedisRefuseEviction bool `env:"PERDURE_REDIS_REFUSE_EVICTION"`
	// NearCache bounds the cache of sessions that were read from Redis, in
	// bytes; negative is none. Defaults to 64 MiB.
	NearCache int64 `env:"PERDURE_NEAR_CACHE"`

	// NoFallback has an outage of Redis be an outage. Defaults to false: while
	// Redis is away sessions are served from what this process holds, writes go to
	// a journal in DataDir, and both are merged when it is back.
	// REDIS_FALLBACK_ENABLED is its opposite.
	NoFallback bool
	// RedisMaxRetries is how often a call that failed is tried again where a probe
	// finds Redis well; negative is never. Defaults to 3. REDIS_MAX_RETRIES.
	RedisMaxRetries int
	// RedisRetryDelay is the time between attempts to reach Redis in an outage.
	// Defaults to 1 second. REDIS_RETRY_DELAY, in milliseconds.
	RedisRetryDelay time.Duration
	// RedisHealthCheckInterval is the time between probes while all is well.
	// Defaults to 30 seconds. REDIS_HEALTH_CHECK_INTERVAL, in milliseconds.
	RedisHealthCheckInterval time.Duration
	// Mirror is what is kept of Redis for an outage: the sessions that this
	// process has seen, or all, or all while they fit a quarter of MaxMemory.
	// Defaults to failover.MirrorAuto.
	Mirror failover.Mirror `env:"PERDURE_MIRROR"`
	// Outage is what is done in one: serve, read only or refuse. Defaults to
	// failover.OutageServe.
	Outage failover.Outage `env:"PERDURE_OUTAGE"`
	// OutageMaxAge bounds how old what is served in an outage may be, but for
	// sessions that were made in it. Defaults to no bound.
	OutageMaxAge time.Duration `env:"PERDURE_OUTAGE_MAX_AGE"`
	// OutageMaxDowntime bounds how long this process may have been down for it to
	// serve, after a start in an outage, the sessions that it had kept in DataDir:
	// others may have ended them meanwhile. Defaults to 5 minutes.
	OutageMaxDowntime time.Duration `env:"PERDURE_OUTAGE_MAX_DOWNTIME"`
	// DataLoss is what is done where Redis comes back without data that it had:
	// fill it again, or have people log in again. Defaults to
	// failover.DataLossReseed.
	DataLoss failover.DataLoss `env:"PERDURE_DATA_LOSS"`

	// DataDir is where the embedded store keeps its file, and where what is
	// written in an outage of Redis is kept. DataDirNone keeps both in memory
	// alone, until the process ends. Defaults to "./perdure-data".
	DataDir string `env:"PERDURE_DATA_DIR"`
	// MaxMemory bounds the embedded store, and with Redis what is kept for an
	// outage and what is written in one, each, in bytes. Defaults to 1 GiB.
	MaxMemory int64 `env:"PERDURE_MAX_MEMORY"`

	// TTL is the life of a session that asks for none. Defaults to 24 hours.
	TTL time.Duration `env:"REDIS_SESSION_TTL"`
	// MaxTTL is the longest life that a session may ask for at its creation.
	// Defaults to 400 days, or to TTL where that is longer.
	MaxTTL time.Duration `env:"PERDURE_MAX_TTL"`
	// Horizon is how long after its creation a session can be extended to, and
	// how long the tombstone of a deleted one stands. Defaults to 7 days.
	Horizon time.Duration `env:"PERDURE_HORIZON"`
	// IdleTimeout ends a session so long after its last access. Defaults to
	// never.
	IdleTimeout time.Duration `env:"PERDURE_IDLE_TIMEOUT"`
	// MaxMetadata bounds the metadata of a session, in bytes of JSON. Defaults
	// to 64 KiB.
	MaxMetadata int64 `env:"PERDURE_MAX_METADATA"`
	// SweepInterval is how often expired sessions are swept; negative is never.
	// Defaults to 10 seconds.
	SweepInterval time.Duration `env:"PERDURE_SWEEP_INTERVAL"`
	// FeedLength is about how many changes a watcher can go back. Defaults to
	// 65,536.
	FeedLength int `env:"PERDURE_FEED_LENGTH"`
	// MaxClockSkew is how far the clocks of two machines may differ. Defaults to
	// 1 minute.
	MaxClockSkew time.Duration `env:"PERDURE_MAX_CLOCK_SKEW"`

	// Listen is the address that sessions are served on. Defaults to
	// "127.0.0.1:8420".
	Listen string `env:"PERDURE_LISTEN"`
	// AdminListen is the address of the admin port, through which the other verbs reach a
	// running daemon; AdminNone is none. Defaults to "127.0.0.1:8421", which is
	// done without where something else listens there.
	AdminListen string `env:"PERDURE_ADMIN_LISTEN"`
	// ThroughDaemon reaches an embedded store that a daemon on this machine holds
	// through the admin port of that daemon, at AdminListen. Defaults to false: it
	// is an ErrUnavailable. It is for tools, not for who serves sessions.
	ThroughDaemon bool
	// settings says that the store is the one that the settings name, and no address
	// that was given.
	settings bool
	// Origins are the web origins whose pages may call, besides those of this
	// machine. Defaults to none.
	Origins []string `env:"PERDURE_ALLOWED_ORIGINS"`
	// Drain is how long readiness is red before a stop closes the listener, so
	// that load balancers notice; negative is not at all. Defaults to 300 ms.
	Drain time.Duration `env:"PERDURE_DRAIN"`
	// LogLevel is the least that is logged: "debug", "info", "warn" or "error".
	// Defaults to "info".
	LogLevel string `env:"PERDURE_LOG_LEVEL"`
	// LogFormat is "text", "json", or "auto": text on a terminal and JSON
	// elsewhere. Defaults to "auto".
	LogFormat string `env:"PERDURE_LOG_FORMAT"`
}

// Type says which store to run on.
type Type string

const (
	// Auto is Redis where Config.RedisURL is set, else Memory.
	Auto Type = "auto"
	// Redis is Redis or Valkey.
	Redis Type = "redis"
	// Memory is the embedded store: in memory, and in a file in Config.DataDir.
	Memory Type = "memory"
)

// DataDirNone, as Config.DataDir, keeps sessions in memory alone.
const DataDirNone = "none"

// AdminNone, as Config.AdminListen, is no admin port.
const AdminNone = "none"

// DefaultAdminListen is what Config.AdminListen defaults to.
const DefaultAdminListen = "127.0.0.1:8421"

const defaultDataDir = "./perdure-data"

const day = 24 * time.Hour

func (c Config) withDefaults() Config {
	c.RedisURL = strings.TrimSpace(c.RedisURL) // what comes from a file ends with a line break
	setDefault(&c.Type, Auto)
	setDefault(&c.RedisPrefix, "perdure:")
	setDefault(&c.RedisTimeout, time.Second)
	setDefault(&c.NearCache, 64<<20)
	setDefault(&c.RedisMaxRetries, 3)
	setDefault(&c.RedisRetryDelay, time.Second)
	setDefault(&c.RedisHealthCheckInterval, 30*time.Second)
	setDefault(&c.Mirror, failover.MirrorAuto)
	setDefault(&c.Outage, failover.OutageServe)
	setDefault(&c.OutageMaxDowntime, 5*time.Minute)
	setDefault(&c.DataLoss, failover.DataLossReseed)
	setDefault(&c.DataDir, defaultDataDir)
	setDefault(&c.MaxMemory, 1<<30)
	setDefault(&c.TTL, day)
	setDefault(&c.MaxTTL, max(400*day, c.TTL))
	setDefault(&c.Horizon, 7*day)
	setDefault(&c.MaxMetadata, 64<<10)
	setDefault(&c.SweepInterval, 10*time.Second)
	setDefault(&c.MaxClockSkew, time.Minute)
	setDefault(&c.Listen, "127.0.0.1:8420")
	setDefault(&c.AdminListen, DefaultAdminListen)
	setDefault(&c.Drain, 300*time.Millisecond)
	setDefault(&c.LogLevel, "info")
	setDefault(&c.LogFormat, "auto")
	return c
}

func setDefault[T comparable](field *T, value T) { *field = cmp.Or(*field, value) }
