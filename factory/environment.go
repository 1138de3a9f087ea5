package factory

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/dustin/go-humanize"
)

// ConfigError says that a setting has a value that is not allowed.
type ConfigError struct {
	Name    string // of the environment variable
	Value   string // empty where it is secret
	Allowed string
}

func (e *ConfigError) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("%s is wrong; allowed: %s", e.Name, e.Allowed)
	}
	return fmt.Sprintf("%s is %q; allowed: %s", e.Name, e.Value, e.Allowed)
}

// FromEnvironment reads a Config from variables of the form NAME=value, as
// os.Environ returns them. A variable that is set to nothing counts as not set.
// Notes say, a line each, what is set and has no effect. The error joins a
// *ConfigError for each wrong value.
func FromEnvironment(environ []string) (c Config, notes []string, err error) {
	values := env.ToMap(environ)
	c = Config{}.withDefaults()
	later, fallback := defaultLater(), defaultFallback()
	if err := errors.Join(parse(&c, values), parse(&fallback, values), parse(&later, values)); err != nil {
		return Config{}, nil, err
	}
	fallback.into(&c)
	c.RedisURL = strings.TrimSpace(c.RedisURL)
	if values["PERDURE_MAX_TTL"] == "" {
		c.MaxTTL = max(c.MaxTTL, c.TTL)
	}
	return c, append(later.notes(values), unknown(values)...), c.check(values)
}

// fallback are the variables of failover whose form is not that of their fields.
type fallback struct {
	Enabled        bool   `env:"REDIS_FALLBACK_ENABLED"`
	MaxRetries     uint16 `env:"REDIS_MAX_RETRIES"`
	RetryDelay     millis `env:"REDIS_RETRY_DELAY"`
	HealthInterval millis `env:"REDIS_HEALTH_CHECK_INTERVAL"`
}

func defaultFallback() fallback {
	return fallback{Enabled: true, MaxRetries: 3, RetryDelay: millis(time.Second), HealthInterval: millis(30 * time.Second)}
}

func (f fallback) into(c *Config) {
	c.NoFallback = !f.Enabled
	if c.RedisMaxRetries = int(f.MaxRetries); f.MaxRetries == 0 {
		c.RedisMaxRetries = -1
	}
	c.RedisRetryDelay, c.RedisHealthCheckInterval = time.Duration(f.RetryDelay), time.Duration(f.HealthInterval)
}

// later are the variables whose features are not in this version. Their values
// are checked all the same.
type later struct {
	Monitoring  bool `env:"SESSION_STORE_MONITORING_ENABLED"`
	Replication bool `env:"SESSION_STORE_REPLICATION_ENABLED"`
	Migration   bool `env:"SESSION_STORE_MIGRATION_ENABLED"`
}

// millis is a duration whose plain numbers are milliseconds.
type millis time.Duration

func defaultLater() later {
	return later{Monitoring: true}
}

// notes say which of them were set to more than their defaults.
func (l later) notes(values map[string]string) (notes []string) {
	is, was := reflect.ValueOf(l), reflect.ValueOf(defaultLater())
	for i := range is.NumField() {
		if is.Field(i).Equal(was.Field(i)) {
			continue
		}
		v, _ := variable(is.Type().Field(i).Tag.Get("env"))
		notes = append(notes, fmt.Sprintf("%s=%s has no effect (%s)", v.Name, values[v.Name], v.Purpose))
	}
	return notes
}

// unknown notes variables that look like ours and are not: a typing error.
func unknown(values map[string]string) (notes []string) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if !strings.HasPrefix(name, "PERDURE_") && !strings.HasPrefix(name, "SESSION_STORE_") {
			continue
		}
		if _, known := variable(name); !known {
			notes = append(notes, name+" has no effect: there is no such setting")
		}
	}
	return notes
}

// parse reads the fields of a struct. Its error joins *ConfigErrors.
func parse(into any, values map[string]string) error {
	err := env.ParseWithOptions(into, env.Options{Environment: values, FuncMap: map[reflect.Type]env.ParserFunc{
		reflect.TypeFor[time.Duration](): func(s string) (any, error) { return parseDuration(s, time.Second) },
		reflect.TypeFor[int64]():         func(s string) (any, error) { return parseSize(s) },
		reflect.TypeFor[millis](): func(s string) (any, error) {
			d, err := parseDuration(s, time.Millisecond)
			return millis(d), err
		},
	}})
	var all env.AggregateError
	if !errors.As(err, &all) {
		return err
	}
	var wrong []error
	for _, err := range all.Errors {
		var bad env.ParseError
		if !errors.As(err, &bad) {
			return err
		}
		field, _ := reflect.TypeOf(into).Elem().FieldByName(bad.Name)
		name := field.Tag.Get("env")
		wrong = append(wrong, refuse(name, values[name]))
	}
	return errors.Join(wrong...)
}

// refuse is the error of a wrong value.
func refuse(name, value string) error {
	v, _ := variable(name)
	return &ConfigError{Name: name, Value: value, Allowed: v.Allowed}
}

// parseDuration reads a number of units, or a duration as Go writes it.
func parseDuration(s string, unit time.Duration) (time.Duration, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return time.ParseDuration(s)
	}
	d := time.Duration(n) * unit
	if d/unit != time.Duration(n) {
		return 0, errors.New("too long")
	}
	return d, nil
}

// parseSize reads a number of bytes, or one with a unit.
func parseSize(s string) (int64, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return n, nil
	}
	n, err := humanize.ParseBytes(s)
	if n > math.MaxInt64 {
		return 0, errors.New("too large")
	}
	return int64(n), err
}
