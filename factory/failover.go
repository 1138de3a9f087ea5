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
// waiting for Redis would not help: a wrong setting, one that does not fit what
// answers, a directory that cannot be written. On standby it takes nothing in an outage.
func (c *Config) openFailover(ctx context.Context, address string, standby bool, logger *slog.Logger) (perdure.Backend, error) {
	dir, err := c.journalDir(logger)
	if err != nil {
		return nil, err
	}
	again := c.reload(address)
	store, _ := redis.StoreName(address, c.prefixOf(address)) // what is wrong with it is found below
	backend, err := failover.Open(ctx, failover.Options{
		Open: func(ctx context.Context) (perdure.Backend, error) {
			if again != nil {
				if now, err := again(); err == nil {
					address = now
				}
			}
			return c.openRedis(ctx, address, true, logger)
		},
		Dir: dir, Store: store, Mirror: c.Mirror, Outage: c.Outage, Standby: standby, MaxAge: c.OutageMaxAge, MaxDowntime: c.OutageMaxDowntime, DataLoss: c.DataLoss,
		MaxMirrorBytes: c.MaxMemory, MaxJournalBytes: c.MaxMemory,
		MaxRetries: c.RedisMaxRetries, RetryDelay: c.RedisRetryDelay, HealthCheckInterval: c.RedisHealthCheckInterval,
		OutageIDAge: max(c.Horizon, c.TTL), MaxClockSkew: c.MaxClockSkew, Logger: logger,
	})
	var invalid *perdure.InvalidError
	switch {
	case errors.As(err, &invalid) && invalid.Field == "URL": // of what was opened, and then looked at
		return nil, explainRedis(address, err)
	case err != nil:
		return nil, err
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
