package factory

// Variable describes an environment variable.
type Variable struct {
	Name    string
	Default string // empty where there is none
	Allowed string // what it may be
	Purpose string
}

const (
	allowedBool = "true or false"
	allowedPEM  = "the path of a PEM file"
)

// Variables lists all that FromEnvironment reads. Durations are a number of
// seconds, or as Go writes them ("1.5s", "24h"); sizes are a number of bytes, or
// with a unit ("64KiB").
func Variables() []Variable {
	return []Variable{
		{"SESSION_STORE_TYPE", "auto", "auto, redis or memory", "auto is Redis if REDIS_URL is set, else memory: the embedded store"},
		{"PERDURE_DATA_DIR", "./perdure-data", "the path of a directory, or none", "embedded store, and what is written without Redis; none: in memory"},
		{"PERDURE_MAX_MEMORY", "1GiB", "a size from 1MiB", "bound on the embedded store, and on what is kept for an outage"},

		{"REDIS_URL", "", "redis://host:port or rediss://host:port (also valkey://, valkeys:// or unix:///socket), with user:password@, /database, commas between the hosts of a Cluster, ?master_name= for Sentinel", "where Redis or Valkey is: redis://user:password@host:port/database"},
		{"REDIS_URL_FILE", "", "the path of a file that holds what REDIS_URL would, which is then not set", "REDIS_URL as a mounted secret"},
		{"REDIS_TLS", "false", allowedBool, "TLS with redis:// too"},
		{"PERDURE_REDIS_CA_FILE", "", allowedPEM, "certificates to trust instead of the system's"},
		{"PERDURE_REDIS_CERT_FILE", "", allowedPEM, "certificate of this client"},
		{"PERDURE_REDIS_KEY_FILE", "", allowedPEM, "key of that certificate"},
		{"REDIS_KEY_PREFIX", "perdure:", "1 to 128 bytes without braces", "begins every key"},
		{"PERDURE_REDIS_TIMEOUT", "1s", "a duration from 10ms to 1m", "bound on a call whose caller gave no deadline"},
		{"PERDURE_REDIS_REFUSE_EVICTION", "false", allowedBool, "do not start on a Redis that may evict live sessions"},
		{"PERDURE_NEAR_CACHE", "64MiB", "a size from 1MiB, or -1 for none", "bound on the cache of sessions read from Redis"},
		{"REDIS_FALLBACK_ENABLED", "true", allowedBool, "carry on while Redis is away; false: its outage is one"},
		{"REDIS_MAX_RETRIES", "3", "a number from 0 to 65535", "how often a failed call is tried again, if Redis is well"},
		{"REDIS_RETRY_DELAY", "1000", "a number of milliseconds from 10, or a duration such as 1s", "milliseconds between attempts to reach Redis"},
		{"REDIS_HEALTH_CHECK_INTERVAL", "30000", "a number of milliseconds from 100, or a duration such as 30s", "milliseconds between probes while all is well"},
		{"PERDURE_MIRROR", "auto", "auto, seen or full", "kept for an outage: those seen; full: all; auto: all if they fit"},
		{"PERDURE_OUTAGE", "serve", "serve, read-only or refuse", "what is done in an outage: serve, read-only or refuse"},
		{"PERDURE_OUTAGE_MAX_AGE", "0", "a duration from 1s, or 0 for no bound", "how old what is served in an outage may be"},
		{"PERDURE_OUTAGE_MAX_DOWNTIME", "5m", "a duration from 1s", "after a longer stop, a start in an outage serves nothing kept"},
		{"PERDURE_DATA_LOSS", "re-seed", "re-seed or re-login", "if Redis comes back empty: fill it; re-login: have people log in"},

		{"REDIS_SESSION_TTL", "86400", "a duration from 1s", "life of a session that asks for none"},
		{"PERDURE_MAX_TTL", "9600h", "a duration not below REDIS_SESSION_TTL", "longest life that a session may ask for"},
		{"PERDURE_HORIZON", "168h", "a duration from 1s", "how long after its creation a session can be extended to"},
		{"PERDURE_IDLE_TIMEOUT", "0", "a duration from 1s, or 0 for never", "ends a session so long after its last access"},
		{"PERDURE_MAX_METADATA", "64KiB", "a size from 2B to 16MiB", "bound on the metadata of a session"},
		{"PERDURE_SWEEP_INTERVAL", "10s", "a duration from 100ms, or -1 for never", "how often expired sessions are swept"},
		{"PERDURE_FEED_LENGTH", "0", "a number from 1024 to 16777216, or 0 for the store's own", "how many changes a watcher can go back; 0: 65536, in Redis 262144"},
		{"PERDURE_MAX_CLOCK_SKEW", "1m", "a duration from 1s to 1h", "how far the clocks of two machines may differ"},

		{"PERDURE_LISTEN", "127.0.0.1:8420", "host:port on loopback", "where sessions are served"},
		{"PERDURE_ADMIN_LISTEN", "127.0.0.1:8421", "host:port on loopback, or none", "where perdure's other verbs reach a running daemon; or none"},
		{"PERDURE_ALLOWED_ORIGINS", "", "origins such as https://app.example.com, with commas between them", "web origins whose pages may call, besides this machine's"},
		{"PERDURE_DRAIN", "300ms", "a duration up to 5m, or -1 for not at all", "how long /readyz is red before a stop closes the listener"},
		{"PERDURE_LOG_LEVEL", "info", "debug, info, warn or error", "the least that is logged: debug, info, warn or error"},
		{"PERDURE_LOG_FORMAT", "auto", "auto, text or json", "auto is text on a terminal and json elsewhere"},

		{"SESSION_STORE_MONITORING_ENABLED", "true", allowedBool, "monitoring: not in this version"},
		{"SESSION_STORE_REPLICATION_ENABLED", "false", allowedBool, "replication: not in this version"},
		{"SESSION_STORE_MIGRATION_ENABLED", "false", allowedBool, "nothing: perdure migrate and switch are always there"},
	}
}

func variable(name string) (Variable, bool) {
	for _, v := range Variables() {
		if v.Name == name {
			return v, true
		}
	}
	return Variable{}, false
}
