package factory

import (
	"context"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/perdure/perdure"
)

// AddressError says that an address is not one of a store.
type AddressError struct {
	Problem string
}

func (e *AddressError) Error() string {
	return "store address " + e.Problem + "; allowed: redis://host:port, rediss://host:port or unix:///socket (with ?prefix=), file:<data directory>, memory:, or http://host:port for the admin port of a daemon"
}

const (
	fileScheme    = "file:"
	memoryAddress = "memory:"
)

// OpenBackend opens the backend at an address:
//
//	redis://… or rediss://…   Redis or Valkey, as Config.RedisURL, also valkey://,
//	                          valkeys:// or unix://; ?prefix= stands for
//	                          Config.RedisPrefix
//	file:<data directory>     the embedded store
//	memory:                   the embedded store in memory alone
//	http://… or https://…     the store of a daemon, at its admin port
//
// Any other address is an *AddressError.
func OpenBackend(ctx context.Context, address string, c Config, logger *slog.Logger) (perdure.Backend, error) {
	c, logger, address = c.withDefaults(), orDiscard(logger), strings.TrimSpace(address)
	switch {
	case address == memoryAddress && c.ThroughDaemon:
		return c.openMemoryHeld(ctx)
	case address == memoryAddress:
		return c.openLocal("", 0, logger)
	case isRedis(address):
		return c.openRedis(ctx, address, false, logger)
	case IsDaemon(address):
		return openDaemon(ctx, address)
	}
	dir, ok := DataDirOf(address)
	switch {
	case IsForeign(address):
		return nil, &AddressError{"is that of another product, whose sessions can only be read: it goes with --from of a migration"}
	case !ok:
		scheme, _, found := strings.Cut(address, ":")
		if !found {
			return nil, &AddressError{"has no scheme"} // and might be anything: it is not shown
		}
		return nil, &AddressError{"has the scheme " + strings.ToValidUTF8(scheme, "…") + ":"}
	case dir == "":
		return nil, &AddressError{"names no directory"}
	}
	if c.ThroughDaemon {
		return c.openFileHeld(ctx, address, dir, logger)
	}
	return c.openLocal(dir, 0, logger)
}

// DataDirOf is the data directory in the address of an embedded store, and
// whether it is one.
func DataDirOf(address string) (string, bool) {
	dir, ok := strings.CutPrefix(address, fileScheme)
	if strings.HasPrefix(dir, "///") { // file:///var/lib is a way to write it too
		dir = dir[2:]
	}
	return dir, ok
}

// describe is the kind of store at an address, and the address without secrets.
func describe(address string) (kind, shown string) {
	if dir, ok := DataDirOf(address); ok {
		if absolute, err := filepath.Abs(dir); err == nil {
			dir = absolute
		}
		return "file", fileScheme + dir
	}
	if isRedis(address) {
		return "redis", withoutSecrets(address)
	}
	if address == memoryAddress {
		return "memory", memoryAddress
	}
	if IsDaemon(address) {
		return "daemon", withoutSecrets(address)
	}
	return "", "…" // it might be anything
}

// withoutSecrets is the address of a server without user, password and parameters.
func withoutSecrets(address string) string {
	scheme, rest, _ := strings.Cut(address, "://")
	end := len(rest)
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		end = i
	}
	authority, tail := rest[:end], rest[end:]
	if strings.Contains(tail, "@") {
		return scheme + "://…" // perhaps a password that is not escaped
	}
	path, _, _ := strings.Cut(tail, "?")
	return scheme + "://" + authority[strings.LastIndexByte(authority, '@')+1:] + path
}

// IsRedis reports whether an address is that of Redis or Valkey.
func IsRedis(address string) bool { return isRedis(address) }
