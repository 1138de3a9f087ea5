package redis

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/perdure/perdure"
)

// Options say which server to use, and how. Only URL is required.
type Options struct {
	// URL is where the sessions are:
	//
	//	redis://user:password@host:6379/0                    one server, or any node of a Cluster
	//	rediss://host                                        the same over TLS
	//	redis://host1,host2,host3                            a Cluster
	//	redis://host1,host2,host3/0?master_name=mymaster     the master that Sentinels watch
	//	unix:///run/redis/redis.sock?db=0                    a server's socket
	//
	// valkey:// and valkeys:// are redis:// and rediss://.
	// User and password are percent-encoded, and may be missing. The port
	// defaults to 6379, that of a Sentinel to 26379. A prefix parameter sets
	// Prefix, and sentinel_username and sentinel_password log in to Sentinels.
	URL string

	// Reload returns the URL as it is now. It is called for each new connection,
	// which logs in with the user and password of that: a password can change while
	// this process runs. All else in it counts at the start alone. It must be safe
	// for concurrent use. Defaults to URL.
	Reload func() (url string, err error)

	// Prefix begins every key. Two services with different prefixes share a
	// server without seeing each other. It may not contain braces. Defaults to
	// "perdure:".
	Prefix string

	// TLS is the configuration for a TLS connection, which it asks for as
	// rediss:// does. Defaults to the system's roots and TLS 1.2 or later.
	TLS *tls.Config
	// CAFile holds the only certificate authorities to trust, in PEM. It asks
	// for TLS. Defaults to those of TLS, or of the system.
	CAFile string
	// CertFile and KeyFile hold a client certificate and its key, in PEM. They
	// ask for TLS. Default to none.
	CertFile, KeyFile string

	// SentinelUsername and SentinelPassword log in to the Sentinels, which do
	// not share the master's users. Default to none.
	SentinelUsername, SentinelPassword string

	// Timeout bounds a call whose context has no deadline, and each step of
	// making a connection. Defaults to one second.
	Timeout time.Duration
	// TimeoutAll has Timeout bound every call, also one whose context has a later
	// deadline: who can do without the server wants to know early that it hangs.
	// Defaults to false.
	TimeoutAll bool

	// NearCacheBytes bounds the memory of the near cache: records and lists that
	// were read are kept in this process until the server says that they changed.
	// Negative is no near cache. Defaults to 64 MiB.
	NearCacheBytes int64
	// NearCacheAge is after what time either is read again although the
	// server did not say that it changed: a master that the rest of a Cluster
	// has given up cannot say it. Defaults to one minute.
	NearCacheAge time.Duration

	// MaxClockSkew is how far the version of a write may be ahead of the
	// server's clock, and how much longer than its horizon a tombstone stands.
	// All who write to one prefix should agree on it. Defaults to
	// perdure.DefaultMaxClockSkew.
	MaxClockSkew time.Duration

	// FeedLength is about how many changes can be read back, of all sessions
	// together, at some 70 bytes each: half as many where they come one by one,
	// twice as many under load, when up to four share an entry. In a Cluster it
	// is divided evenly over the partitions. All who write to one prefix should
	// agree on it. Defaults to 65,536.
	FeedLength int

	// RefuseEviction has Open fail where the server is set up to evict keys:
	// it would end live sessions, and bring deleted ones back by evicting their
	// tombstones. Defaults to a warning in Inspect.
	RefuseEviction bool

	// Logger hears of trouble with the connection. It is never given a password
	// or what a session holds. Defaults to none.
	Logger *slog.Logger

	sentinelGiven bool   // the Sentinels' user is not that of the URL
	clientName    string // of its connections
}

const (
	defaultPrefix     = "perdure:"
	defaultTimeout    = time.Second
	defaultNearBytes  = 64 << 20
	defaultNearAge    = time.Minute
	defaultFeedLength = 1 << 16

	maxPrefix = 128
)

// withDefaults returns the options with the defaults in the place of zeroes, and
// what the URL says. It returns an ErrInvalid that names the field.
func (o Options) withDefaults() (Options, address, error) {
	a, err := parseURL(o.URL)
	if err != nil {
		return o, a, err
	}
	if o.Prefix == "" {
		o.Prefix = a.prefix
	}
	if o.Prefix == "" {
		o.Prefix = defaultPrefix
	}
	o.clientName = clientName(o.Prefix, a.database)
	if o.sentinelGiven = o.SentinelUsername != "" || o.SentinelPassword != ""; !o.sentinelGiven {
		o.SentinelUsername, o.SentinelPassword = a.sentinelUsername, a.sentinelPassword
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.NearCacheBytes == 0 {
		o.NearCacheBytes = defaultNearBytes
	}
	if o.NearCacheAge == 0 {
		o.NearCacheAge = defaultNearAge
	}
	if o.MaxClockSkew == 0 {
		o.MaxClockSkew = perdure.DefaultMaxClockSkew
	}
	if o.FeedLength == 0 {
		o.FeedLength = defaultFeedLength
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, a, o.check(&a)
}

func (o *Options) check(a *address) error {
	switch {
	case strings.ContainsAny(o.Prefix, "{}"):
		return invalid("Prefix", "%q contains a brace; braces mark the part of a key that a Cluster hashes", o.Prefix)
	case len(o.Prefix) > maxPrefix:
		return invalid("Prefix", "has %d bytes; at most %d are allowed", len(o.Prefix), maxPrefix)
	case a.prefix != "" && a.prefix != o.Prefix:
		return invalid("Prefix", "is %q and the URL says %q; leave one of them out", o.Prefix, a.prefix)
	case (o.CertFile == "") != (o.KeyFile == ""):
		return invalid("CertFile", "and KeyFile belong together: %q and %q are given", o.CertFile, o.KeyFile)
	case o.Timeout < time.Millisecond:
		return invalid("Timeout", "is %v; at least 1ms is needed", o.Timeout)
	case o.NearCacheAge < 0:
		return invalid("NearCacheAge", "is %v; it must not be negative", o.NearCacheAge)
	case o.MaxClockSkew < 0:
		return invalid("MaxClockSkew", "is %v; it must not be negative", o.MaxClockSkew)
	case o.FeedLength < 0:
		return invalid("FeedLength", "is %d; it must not be negative", o.FeedLength)
	}
	return nil
}

func invalid(field, format string, args ...any) error {
	return &perdure.InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)}
}
