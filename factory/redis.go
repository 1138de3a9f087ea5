package factory

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"

	"github.com/redis/rueidis"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/backend/redis"
)

// redisURL is the address of Redis, and the setting that it comes from.
func (c *Config) redisURL() (address, source string, err error) {
	if c.RedisURLFile == "" {
		return c.RedisURL, "REDIS_URL", nil
	}
	content, err := os.ReadFile(c.RedisURLFile)
	if err != nil {
		return "", "", &ConfigError{Name: "REDIS_URL_FILE", Value: c.RedisURLFile, Allowed: "a file that can be read: " + err.Error()}
	}
	address = strings.TrimSpace(string(content))
	if !isRedis(address) {
		v, _ := variable("REDIS_URL")
		return "", "", &ConfigError{Name: "REDIS_URL_FILE", Value: c.RedisURLFile, Allowed: "a file that holds " + v.Allowed}
	}
	return address, "REDIS_URL_FILE", nil
}

// reload reads an address that comes from Config.RedisURLFile again: the password in
// it may have changed. It is nil for any other.
func (c *Config) reload(address string) func() (string, error) {
	if now, _, err := c.redisURL(); c.RedisURLFile == "" || err != nil || now != address {
		return nil
	}
	return func() (string, error) {
		now, _, err := c.redisURL()
		return now, err
	}
}

// openRedis opens Redis. Impatient is for who can do without it, and wants to know
// soon that it hangs.
func (c *Config) openRedis(ctx context.Context, address string, impatient bool, logger *slog.Logger) (perdure.Backend, error) {
	options := c.redisOptions(address, logger)
	options.Prefix, options.TimeoutAll = c.prefixOf(address), impatient
	backend, err := redis.Open(ctx, options)
	if err != nil {
		return nil, explainRedis(address, err)
	}
	return backend, nil
}

// dialRedis connects to a server whose sessions are another product's.
func (c *Config) dialRedis(ctx context.Context, address string, logger *slog.Logger) (rueidis.Client, error) {
	client, err := redis.Dial(ctx, c.redisOptions(address, logger))
	if err != nil {
		return nil, explainRedis(address, err)
	}
	return client, nil
}

// redisOptions are those of any connection.
func (c *Config) redisOptions(address string, logger *slog.Logger) redis.Options {
	options := redis.Options{
		URL: address, Reload: c.reload(address), CAFile: c.RedisCAFile, CertFile: c.RedisCertFile, KeyFile: c.RedisKeyFile,
		Timeout: c.RedisTimeout, NearCacheBytes: c.NearCache, MaxClockSkew: c.MaxClockSkew, FeedLength: c.FeedLength,
		RefuseEviction: c.RedisRefuseEviction, Logger: logger,
	}
	if c.RedisTLS {
		options.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return options
}

// prefixOf is the prefix of keys that goes with an address; empty where that names one.
func (c *Config) prefixOf(address string) string {
	if _, query, _ := strings.Cut(address, "?"); hasPrefix(query) {
		return ""
	}
	return c.RedisPrefix
}

// hasPrefix reports whether the parameters of an address name a prefix.
func hasPrefix(query string) bool {
	values, err := url.ParseQuery(query)
	return err == nil && values.Has("prefix")
}

// explainRedis says which setting is wrong, or where it looked for Redis.
func explainRedis(address string, err error) error {
	var invalid *perdure.InvalidError
	switch {
	case errors.Is(err, redis.ErrEviction) && errors.As(err, &invalid):
		return fmt.Errorf("%w: %w", redis.ErrEviction, &perdure.InvalidError{Field: "PERDURE_REDIS_REFUSE_EVICTION", Problem: invalid.Problem})
	case errors.As(err, &invalid):
		if name, ok := map[string]string{
			"URL": "store address", "Prefix": "REDIS_KEY_PREFIX", "CAFile": "PERDURE_REDIS_CA_FILE",
			"CertFile": "PERDURE_REDIS_CERT_FILE", "KeyFile": "PERDURE_REDIS_KEY_FILE",
		}[invalid.Field]; ok {
			problem := optionNames().Replace(invalid.Problem)
			if strings.HasPrefix(problem, redis.Misfit) {
				problem = withoutSecrets(address) + " " + problem
			}
			return &perdure.InvalidError{Field: name, Problem: problem}
		}
	case errors.Is(err, perdure.ErrUnavailable):
		return fmt.Errorf("%s: %w", withoutSecrets(address), err)
	}
	return err
}

// advise adds which setting says where the store is.
func (c *Config) advise(source string, err error) error {
	var invalid *perdure.InvalidError
	var journal *failover.JournalError
	switch {
	case errors.As(err, &journal): // which says itself
	case errors.As(err, &invalid) && invalid.Field == "store address":
		return &perdure.InvalidError{Field: cmp.Or(source, invalid.Field), Problem: c.named(source)(invalid.Problem)}
	case errors.Is(err, perdure.ErrUnavailable):
		return fmt.Errorf("%w\n%s says where the store is", err, source)
	}
	return err
}

// optionNames puts the names of settings for those of package redis's options.
func optionNames() *strings.Replacer {
	return strings.NewReplacer("CAFile", "PERDURE_REDIS_CA_FILE", "CertFile", "PERDURE_REDIS_CERT_FILE", "KeyFile", "PERDURE_REDIS_KEY_FILE")
}

// named puts the names of settings into what package redis says of its options; the
// address comes from the setting given, if any.
func (c *Config) named(source string) func(text string) string {
	where := source
	switch source {
	case "":
		where = "the store address"
	case "REDIS_URL_FILE":
		where = "REDIS_URL_FILE=" + c.RedisURLFile
	}
	return func(text string) string {
		return strings.ReplaceAll(optionNames().Replace(text), "the URL", where)
	}
}

// sourceOf is the setting that an address comes from; empty if it is from none.
func (c *Config) sourceOf(address string) string {
	if now, source, err := c.redisURL(); err == nil && now == address {
		return source
	}
	return ""
}
