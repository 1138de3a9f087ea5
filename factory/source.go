package factory

import (
	"context"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/foreign"
	"github.com/perdure/perdure/migrate"
	migrateforeign "github.com/perdure/perdure/migrate/foreign"
)

// Source is a store that sessions can be moved out of.
type Source struct {
	migrate.Source
	// Backend is the store where it is one of perdure's, else nil: another
	// product's is only read.
	Backend perdure.Backend
	// Kind is "redis", "file", "memory", "daemon", "puppeteer-mcp" or "connect-redis".
	Kind string
	// Address is where it is, without secrets.
	Address string

	close func() error
}

// Close ends its connections.
func (s *Source) Close() error { return s.close() }

const (
	puppeteerScheme = "puppeteer-mcp"
	connectScheme   = "connect-redis"
)

// OpenSource opens what is at an address for reading: a backend, as OpenBackend
// takes it, or what another product keeps in Redis:
//
//	puppeteer-mcp+redis://…   perdure's forerunner; ?prefix= is its REDIS_KEY_PREFIX
//	                          ("puppeteer-mcp:" by default)
//	connect-redis+redis://…   the store of express-session; ?prefix= is its prefix
//	                          ("sess:" by default), ?user= where the user id is, as
//	                          in "passport.user", ?ttl= the life of sessions that
//	                          have no end
//
// Any other address is an *AddressError. It returns a perdure.ErrUnavailable where
// the store cannot be reached.
func OpenSource(ctx context.Context, address string, c Config, logger *slog.Logger) (*Source, error) {
	address = strings.TrimSpace(address)
	product, rest, _ := strings.Cut(address, "+")
	if (product == puppeteerScheme || product == connectScheme) && isRedis(rest) {
		return c.openForeign(ctx, product, rest, orDiscard(logger))
	}
	backend, err := OpenBackend(ctx, address, c, logger)
	if err != nil {
		return nil, err
	}
	kind, shown := describe(address)
	return &Source{Source: migrate.FromBackend(backend), Backend: backend, Kind: kind, Address: shown, close: backend.Close}, nil
}

// IsForeign reports whether an address is that of another product's store.
func IsForeign(address string) bool {
	return strings.HasPrefix(address, puppeteerScheme+"+") || strings.HasPrefix(address, connectScheme+"+")
}

func (c Config) openForeign(ctx context.Context, product, address string, logger *slog.Logger) (*Source, error) {
	c = c.withDefaults()
	layout, address, err := layoutOf(product, address)
	if err != nil {
		return nil, err
	}
	client, err := c.dialRedis(ctx, address, logger)
	if err != nil {
		return nil, err
	}
	source, err := migrateforeign.NewRedis(ctx, client, migrateforeign.Options{Layout: layout, Horizon: c.Horizon})
	if err != nil {
		client.Close()
		return nil, explainRedis(address, err)
	}
	return &Source{Source: source, Kind: product, Address: product + "+" + withoutSecrets(address), close: source.Close}, nil
}

// layoutOf takes the parameters that are the layout's out of an address.
func layoutOf(product, address string) (foreign.Layout, string, error) {
	bare, query, _ := strings.Cut(address, "?")
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, "", &AddressError{"has parameters that cannot be read; a '%' is written as %25"}
	}
	take := func(name string) string {
		value := values.Get(name)
		values.Del(name)
		return value
	}
	prefix := take("prefix")
	var layout foreign.Layout = foreign.Puppeteer{Prefix: prefix}
	if product == connectScheme {
		l := foreign.ConnectRedis{Prefix: prefix, User: take("user")}
		if ttl := take("ttl"); ttl != "" {
			if l.TTL, err = parseDuration(ttl, time.Second); err != nil || l.TTL < time.Second {
				return nil, "", &AddressError{"has a ttl that is not a duration from 1s"}
			}
		}
		layout = l
	}
	if len(values) > 0 {
		bare += "?" + values.Encode()
	}
	return layout, bare, nil
}
