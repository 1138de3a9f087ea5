package redis

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perdure/perdure"
)

// Inspect looks at the server, in a Cluster at all masters.
func (b *Backend) Inspect(ctx context.Context) ([]perdure.Finding, error) {
	servers, err := b.servers(ctx)
	if err != nil {
		return nil, err
	}
	r := report{many: len(servers) > 1}
	r.add(perdure.SeverityOK, "mode", b.mode(), "")
	r.tls(b)
	r.nearCache(b)
	for _, s := range servers {
		r.server = s
		r.version()
		r.eviction()
		r.persistence()
		r.replicas()
	}
	r.server = server{}
	if err := r.clock(ctx, b); err != nil {
		return nil, err
	}
	if err := r.acl(ctx, b); err != nil {
		return nil, err
	}
	slices.SortStableFunc(r.findings, func(a, b perdure.Finding) int { return cmp.Compare(b.Severity, a.Severity) })
	return r.findings, nil
}

// refuseEviction keeps Open from a server that evicts, where the options say so.
func (b *Backend) refuseEviction(ctx context.Context) error {
	if !b.options.RefuseEviction {
		return nil
	}
	servers, err := b.servers(ctx)
	if err != nil {
		return err
	}
	for _, s := range servers {
		if policy := s.info["maxmemory_policy"]; policy != "noeviction" {
			return fmt.Errorf("%w: %s evicts keys (maxmemory-policy %s), which would end live sessions and revive deleted ones; run CONFIG SET maxmemory-policy noeviction", perdure.ErrUnavailable, s.address, policy)
		}
	}
	return nil
}

// report is a capability report in the making.
type report struct {
	findings []perdure.Finding
	server   server // what is looked at
	many     bool
}

func (r *report) add(severity perdure.Severity, name, found, advice string) {
	if r.many && r.server.address != "" {
		name += " of " + r.server.address
	}
	r.findings = append(r.findings, perdure.Finding{Severity: severity, Name: name, Found: found, Advice: advice})
}

func (r *report) tls(b *Backend) {
	if b.secure {
		r.add(perdure.SeverityOK, "tls", "on", "")
		return
	}
	r.add(perdure.SeverityInfo, "tls", "off", "beyond a network that you trust, use rediss:// (NIST SC-8)")
}

func (r *report) nearCache(b *Backend) {
	switch {
	case b.cached:
		r.add(perdure.SeverityOK, "near cache", "on", "")
	case b.options.NearCacheBytes < 0:
		r.add(perdure.SeverityInfo, "near cache", "off by its setting", "")
	default:
		r.add(perdure.SeverityWarning, "near cache", "off: the server does not tell this user of changes", "allow +client|tracking and +client|caching, and do not disable RESP3")
	}
}

const oldest = "6.2"

func (r *report) version() {
	info := r.server.info
	if info["valkey_version"] == "" && older(info["redis_version"], oldest) {
		r.add(perdure.SeverityError, "version", r.server.name(), "upgrade to Redis "+oldest+" or later, or Valkey")
		return
	}
	r.add(perdure.SeverityOK, "version", r.server.name(), "")
}

// older compares versions number by number.
func older(version, than string) bool {
	numbers := func(s string) (all []int) {
		for part := range strings.SplitSeq(s, ".") {
			n, _ := strconv.Atoi(part)
			all = append(all, n)
		}
		return all
	}
	return slices.Compare(numbers(version), numbers(than)) < 0
}

func (r *report) eviction() {
	policy := r.server.info["maxmemory_policy"]
	switch {
	case policy == "noeviction" && r.server.number("maxmemory") == 0:
		r.add(perdure.SeverityInfo, "maxmemory", "no bound", "set maxmemory below the machine's memory, so that a full server refuses new sessions instead of being killed")
	case policy == "noeviction":
		r.add(perdure.SeverityOK, "maxmemory-policy", policy, "")
	case r.server.number("maxmemory") == 0:
		r.add(perdure.SeverityWarning, "maxmemory-policy", policy+", without a maxmemory yet", "run CONFIG SET maxmemory-policy noeviction before anybody sets maxmemory")
	default:
		r.add(perdure.SeverityError, "maxmemory-policy", policy, "it can evict live sessions, and tombstones, which revives deleted ones: run CONFIG SET maxmemory-policy noeviction")
	}
}

func (r *report) persistence() {
	info := r.server.info
	switch {
	case info["aof_enabled"] == "1" && info["aof_last_write_status"] != "ok":
		r.add(perdure.SeverityError, "persistence", "the append-only file cannot be written", "make room on its disk and see its log")
	case info["aof_enabled"] == "1":
		r.add(perdure.SeverityOK, "persistence", "append-only file", "")
	case info["rdb_last_bgsave_status"] != "ok":
		r.add(perdure.SeverityError, "persistence", "the last snapshot failed", "make room on its disk and see its log")
	default:
		r.add(perdure.SeverityWarning, "persistence", "snapshots at most", "a restart loses what was written since the last: set appendonly yes")
	}
}

func (r *report) replicas() {
	n := r.server.number("connected_slaves")
	if n == 0 {
		r.add(perdure.SeverityInfo, "replicas", "none", "with a replica and Sentinel, or in a Cluster, another server can take over")
		return
	}
	r.add(perdure.SeverityOK, "replicas", strconv.FormatInt(n, 10), "")
}

// clock compares the server's clock with this machine's.
func (r *report) clock(ctx context.Context, b *Backend) error {
	before := time.Now()
	m, err := b.link.one(ctx, call{words: []string{"TIME"}})
	if err != nil {
		return err
	}
	took := time.Since(before)
	parts, err := m.AsStrSlice()
	if err != nil || len(parts) != 2 {
		return fmt.Errorf("%w: redis does not tell the time", perdure.ErrUnavailable)
	}
	seconds, _ := strconv.ParseInt(parts[0], 10, 64)
	micros, _ := strconv.ParseInt(parts[1], 10, 64)
	offset := time.Unix(seconds, micros*1000).Sub(before.Add(took / 2)).Round(time.Millisecond)
	switch {
	case offset.Abs() > b.options.MaxClockSkew:
		r.add(perdure.SeverityError, "clock", "the server's is "+offset.String()+" from ours", "writes will be refused: synchronise both (NTP)")
	case offset.Abs() > time.Second:
		r.add(perdure.SeverityWarning, "clock", "the server's is "+offset.String()+" from ours", "synchronise both (NTP): the later of two writes is decided by clocks")
	default:
		r.add(perdure.SeverityOK, "clock", "within a second of ours", "")
	}
	return nil
}

// acl asks whether the user may use the commands that are needed.
func (r *report) acl(ctx context.Context, b *Backend) error {
	key := b.keys.partitions[0].health
	user, err := b.link.one(ctx, call{words: []string{"ACL", "WHOAMI"}})
	if err != nil {
		r.add(perdure.SeverityInfo, "acl", "cannot be checked: ACL WHOAMI is refused", "")
		return nil
	}
	name, err := user.ToString()
	if err != nil {
		return failure(err)
	}
	var missing []string
	for _, command := range needed(key) {
		reply, err := b.link.one(ctx, call{words: append([]string{"ACL", "DRYRUN", name}, command...)})
		if err != nil {
			r.add(perdure.SeverityInfo, "acl", "cannot be checked: ACL DRYRUN is refused, or the server is older than 7.0", "")
			return nil
		}
		if text, _ := reply.ToString(); text != "OK" {
			missing = append(missing, strings.ToLower(command[0]))
		}
	}
	if len(missing) > 0 {
		r.add(perdure.SeverityError, "acl", "the user "+name+" may not use "+strings.Join(missing, ", "), "allow these commands on the keys "+b.options.Prefix+"*")
		return nil
	}
	r.add(perdure.SeverityOK, "acl", "the user "+name+" may use all commands that are needed", "")
	return nil
}

// needed are the commands that are sent, or called by scripts.
func needed(key string) [][]string {
	return [][]string{
		{"GET", key}, {"MGET", key}, {"SET", key, "v"}, {"GETRANGE", key, "0", "1"}, {"SETRANGE", key, "0", "v"},
		{"ZADD", key, "1", "m"}, {"ZREM", key, "m"}, {"ZCARD", key}, {"ZRANGE", key, "0", "1"}, {"ZREMRANGEBYSCORE", key, "0", "1"},
		{"XADD", key, "*", "e", "v"}, {"XRANGE", key, "-", "+"}, {"XREVRANGE", key, "+", "-"}, {"XREAD", "STREAMS", key, "0"},
		{"XLEN", key}, {"XTRIM", key, "MAXLEN", "1"}, {"PEXPIREAT", key, "1"},
		{"EVAL", "return 1", "0"}, {"EVALSHA", strings.Repeat("0", 40), "0"}, {"TIME"}, {"INFO"},
	}
}
