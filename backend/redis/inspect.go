package redis

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perdure/perdure"
)

// Inspect looks at the server, in a Cluster at each master, for what puts
// sessions at risk or this user cannot do.
func (b *Backend) Inspect(ctx context.Context) ([]perdure.Finding, error) {
	ctx, cancel := b.link.bound(ctx)
	defer cancel()
	servers, err := b.servers(ctx)
	if err != nil {
		return nil, err
	}
	if err := b.measure(ctx, 0); err != nil && !errors.Is(err, errNoTime) {
		return nil, err
	}
	missing, err := b.missing(ctx)
	if err != nil {
		return nil, err
	}
	findings := []perdure.Finding{b.clock(time.Until(b.Now())), b.permissions(missing), b.nearCache(), b.encryption()}
	for i := range servers {
		s := &servers[i]
		found := []perdure.Finding{s.version(), s.role(b.mode()), s.eviction(), s.memory(), s.persistence()}
		if s.info == nil {
			found = []perdure.Finding{{Severity: perdure.SeverityWarning, Name: "server", Found: "INFO is not allowed to this user",
				Advice: "allow it +info: whether the server is set up to keep sessions cannot be seen"}}
		}
		for _, f := range found {
			if len(servers) > 1 {
				f.Found = s.address + ": " + f.Found
			}
			findings = append(findings, f)
		}
	}
	slices.SortStableFunc(findings, func(f, g perdure.Finding) int { return cmp.Compare(g.Severity, f.Severity) })
	return findings, nil
}

// ErrEviction says that a server may evict live sessions, which
// Options.RefuseEviction does not allow. It is a perdure.ErrInvalid.
var ErrEviction = fmt.Errorf("%w: the server evicts keys", perdure.ErrInvalid)

// refuseEviction returns an error if a server evicts keys and the options say to
// refuse that.
func (b *Backend) refuseEviction(ctx context.Context) error {
	if !b.options.RefuseEviction {
		return nil
	}
	servers, err := b.servers(ctx)
	if err != nil {
		return err
	}
	for i := range servers {
		if f := servers[i].eviction(); f.Severity > perdure.SeverityOK {
			return errEviction(servers[i].address, f.Found, f.Advice)
		}
	}
	return nil
}

func (s *server) version() perdure.Finding {
	f := perdure.Finding{Name: "version", Found: s.name()}
	if s.info["valkey_version"] != "" {
		return f
	}
	major, rest, _ := strings.Cut(s.info["redis_version"], ".")
	minor, _, _ := strings.Cut(rest, ".")
	m, _ := strconv.Atoi(major)
	n, _ := strconv.Atoi(minor)
	if m < 6 || m == 6 && n < 2 {
		f.Severity, f.Advice = perdure.SeverityError, "upgrade to Redis 6.2 or Valkey 7.2, or later: commands that are needed are missing"
	}
	return f
}

func (s *server) role(mode string) perdure.Finding {
	replicas := s.number("connected_slaves")
	f := perdure.Finding{Name: "replicas", Found: fmt.Sprintf("%s, %s with %d replicas", mode, s.info["role"], replicas)}
	switch {
	case s.info["role"] == "slave":
		f.Severity, f.Advice = perdure.SeverityError, "this is a replica, which takes no writes: connect to its master, by Sentinel if it moves"
	case replicas > 0:
	case mode == "standalone":
		f.Severity, f.Advice = perdure.SeverityInfo, "no other server takes over while this one is down: perdure then serves what each daemon holds; Sentinel, or a Cluster with replicas, shortens that"
	default:
		f.Severity, f.Advice = perdure.SeverityWarning, "start a replica: nothing takes over when this master fails"
	}
	return f
}

func (s *server) eviction() perdure.Finding {
	f := perdure.Finding{Name: "maxmemory-policy", Found: s.info["maxmemory_policy"]}
	if f.Found == "noeviction" {
		return f
	}
	f.Severity, f.Advice = perdure.SeverityWarning, "run CONFIG SET maxmemory-policy noeviction: another policy ends live sessions as soon as a maxmemory is set"
	if s.number("maxmemory") > 0 {
		f.Severity, f.Advice = perdure.SeverityError, "run CONFIG SET maxmemory-policy noeviction: this one ends live sessions, and by evicting tombstones lets deleted ones come back"
	}
	return f
}

func (s *server) memory() perdure.Finding {
	used, bound := s.number("used_memory"), s.number("maxmemory")
	mib := func(bytes int64) float64 { return float64(bytes) / (1 << 20) }
	f := perdure.Finding{Name: "maxmemory", Found: fmt.Sprintf("%.1f of %.1f MiB are in use", mib(used), mib(bound))}
	switch {
	case bound == 0:
		f.Found = fmt.Sprintf("none, %.1f MiB are in use", mib(used))
		f.Severity, f.Advice = perdure.SeverityInfo, "set a maxmemory: a full server then refuses new sessions, rather than being killed with all of them"
	case used >= bound:
		f.Severity, f.Advice = perdure.SeverityError, "raise maxmemory: this server refuses new sessions"
	case used > bound/10*9:
		f.Severity, f.Advice = perdure.SeverityWarning, "raise maxmemory: a server at its bound refuses new sessions"
	}
	return f
}

func (s *server) persistence() perdure.Finding {
	f := perdure.Finding{Name: "persistence", Found: "append-only file"}
	switch {
	case s.info["aof_enabled"] != "1":
		f.Found = "no append-only file"
		f.Severity, f.Advice = perdure.SeverityWarning, "run CONFIG SET appendonly yes: a restart forgets the logins and logouts since the last snapshot, or all"
	case s.info["aof_last_write_status"] != "ok":
		f.Found += ", which could not be written"
		f.Severity, f.Advice = perdure.SeverityError, "make room on the server's disk, and see its log"
	}
	return f
}

func (b *Backend) clock(offset time.Duration) perdure.Finding {
	f := perdure.Finding{Name: "clock", Found: fmt.Sprintf("the server's is %v ahead of this machine's", offset.Round(time.Millisecond))}
	switch {
	case offset.Abs() > b.options.MaxClockSkew/2:
		f.Severity = perdure.SeverityError
	case offset.Abs() > time.Second:
		f.Severity = perdure.SeverityWarning
	default:
		return f
	}
	f.Advice = "synchronise both clocks (NTP): sessions go by the server's, but a process that starts while the server is away has this machine's alone"
	return f
}

// harmless are all commands that scripts and this package send, in a form that
// changes nothing: on a key that is not there.
func harmless() []string {
	return []string{
		"GET k", "MGET k", "EXISTS k", "STRLEN k", "GETRANGE k 0 0", "SET k v XX", "SETRANGE k 0 ", "DEL k", "EXPIREAT k 1",
		"ZADD k XX 0 m", "ZREM k m", "ZCARD k", "ZCOUNT k 0 0", "ZRANGE k 0 0", "ZSCORE k m", "ZRANGEBYSCORE k 0 0", "ZREMRANGEBYSCORE k 0 0",
		"XADD k NOMKSTREAM * f v", "XTRIM k MAXLEN 0", "XLEN k", "XRANGE k - +", "XREVRANGE k + -",
	}
}

// missing is which commands this user may not send.
func (b *Backend) missing(ctx context.Context) (missing []string, err error) {
	key := b.keys.partitions[0].health + "?"
	var calls []call
	for _, text := range harmless() {
		words := strings.Split(text, " ")
		calls = append(calls, call{words: words[:1], keys: []string{key}, args: words[2:]})
	}
	calls = append(calls,
		call{words: []string{"XREAD", "STREAMS"}, keys: []string{key}, args: []string{"0"}},
		call{script: newScript("return redis.call('TIME')"), keys: []string{key}})
	results, err := b.link.do(ctx, calls...)
	if err != nil {
		return nil, err
	}
	for i, result := range results {
		if err := result.Error(); err != nil && strings.Contains(err.Error(), "NOPERM") {
			name := "evalsha, eval or time"
			if calls[i].script == nil {
				name = strings.ToLower(calls[i].words[0])
			}
			missing = append(missing, name)
		}
	}
	return missing, nil
}

func (b *Backend) permissions(missing []string) perdure.Finding {
	f := perdure.Finding{Name: "acl", Found: "all commands that are needed"}
	if len(missing) > 0 {
		f.Severity, f.Found = perdure.SeverityError, "no "+strings.Join(missing, ", ")
		f.Advice = fmt.Sprintf("ACL SETUSER of this user: ~%s* +@all -@admin -@dangerous, with +info +client|tracking +client|caching", b.options.Prefix)
	}
	return f
}

func (b *Backend) nearCache() perdure.Finding {
	f := perdure.Finding{Name: "near cache", Found: fmt.Sprintf("%d MiB", b.options.NearCacheBytes>>20)}
	switch {
	case b.cached:
	case b.options.NearCacheBytes < 0:
		f.Found = "switched off"
	default:
		f.Found = "none: the server does not tell this user of changes"
		f.Severity, f.Advice = perdure.SeverityWarning, "allow this user +client|tracking and +client|caching: every read now costs a round trip"
	}
	return f
}

func (b *Backend) encryption() perdure.Finding {
	f := perdure.Finding{Name: "tls", Found: "yes"}
	if b.encrypted {
		return f
	}
	f.Found = "no"
	for address := range b.link.client.Nodes() {
		if host, _, err := net.SplitHostPort(address); err != nil || host != "localhost" && !net.ParseIP(host).IsLoopback() {
			f.Severity, f.Advice = perdure.SeverityWarning, "use rediss://: passwords and sessions cross the network in the clear"
		}
	}
	return f
}
