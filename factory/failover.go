package factory

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/backend/redis"
)

// journals is the directory in Config.DataDir where processes that fail over keep
// what they write in an outage.
const journals = "failover"

// openFailover opens Redis with what carries on without it. It fails only where
// waiting for Redis would not help: a wrong setting, a directory that cannot be
// written.
func (c *Config) openFailover(ctx context.Context, address string, logger *slog.Logger) (perdure.Backend, error) {
	dir, err := c.journalDir(logger)
	if err != nil {
		return nil, err
	}
	store, _ := redis.StoreName(address, c.prefixOf(address)) // what is wrong with it is found below
	var wrong error // of the first attempt: written before Open returns, and then no more
	first := true
	backend, err := failover.Open(ctx, failover.Options{
		Open: func(ctx context.Context) (perdure.Backend, error) {
			front, err := c.openRedis(ctx, address, true, logger)
			if first && err != nil && (!errors.Is(err, perdure.ErrUnavailable) || errors.Is(err, redis.ErrEviction)) {
				wrong = err
			}
			first = false
			return front, err
		},
		Dir: dir, Store: store, Mirror: c.Mirror, Outage: c.Outage, MaxAge: c.OutageMaxAge, MaxDowntime: c.OutageMaxDowntime, DataLoss: c.DataLoss,
		MaxMirrorBytes: c.MaxMemory, MaxJournalBytes: c.MaxMemory,
		MaxRetries: c.RedisMaxRetries, RetryDelay: c.RedisRetryDelay, HealthCheckInterval: c.RedisHealthCheckInterval,
		OutageIDAge: max(c.Horizon, c.TTL), MaxClockSkew: c.MaxClockSkew, Logger: logger,
	})
	if err != nil {
		return nil, err
	}
	if wrong != nil {
		return nil, errors.Join(wrong, backend.Close())
	}
	return backend, nil
}

// journalDir is where the journal goes, or empty for memory. A directory that
// nobody has asked for by name is done without where it cannot be made.
func (c *Config) journalDir(logger *slog.Logger) (string, error) {
	if c.DataDir == DataDirNone {
		return "", nil
	}
	dir, err := filepath.Abs(filepath.Join(c.DataDir, journals))
	if err == nil {
		err = os.MkdirAll(dir, 0o700)
	}
	if err != nil && c.DataDir == defaultDataDir {
		logger.Warn("what is written while Redis is away is kept in memory alone", "error", err, "advice", "set PERDURE_DATA_DIR to a directory that can be written, or to none")
		return "", nil
	}
	if err != nil {
		return "", &ConfigError{Name: "PERDURE_DATA_DIR", Value: c.DataDir, Allowed: "a directory that can be written, or none: " + err.Error()}
	}
	return dir, nil
}
