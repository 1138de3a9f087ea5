package factory

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

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
	again, source := c.reload(address), c.sourceOf(address)
	store, _ := redis.StoreName(address, c.prefixOf(address)) // what is wrong with it is found below
	backend, err := failover.Open(ctx, failover.Options{
		Open: func(ctx context.Context) (perdure.Backend, error) {
			if again != nil {
				if now, err := again(); err == nil {
					address = now
				}
			}
			b, err := c.openRedis(ctx, address, true, logger)
			if errors.Is(err, perdure.ErrInvalid) {
				err = c.advise(source, err)
			}
			return b, err
		},
		Dir: dir, Store: store, Mirror: c.Mirror, Outage: c.Outage, Standby: standby, MaxAge: c.OutageMaxAge, MaxDowntime: c.OutageMaxDowntime, DataLoss: c.DataLoss,
		MaxMirrorBytes: c.MaxMemory, MaxJournalBytes: c.MaxMemory,
		MaxRetries: c.RedisMaxRetries, RetryDelay: c.RedisRetryDelay, HealthCheckInterval: c.RedisHealthCheckInterval,
		Explain: c.named(source), OutageIDAge: max(c.Horizon, c.TTL), MaxClockSkew: c.MaxClockSkew, Logger: logger,
	})
	var invalid *perdure.InvalidError
	var unopened *failover.JournalError
	switch {
	case errors.As(err, &unopened):
		return nil, fmt.Errorf("%w\nPERDURE_DATA_DIR says where that is: give a directory that this user can write, or none", err)
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
	if errors.Is(err, syscall.ENOSPC) {
		return dir, nil // it is made when there is room
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
