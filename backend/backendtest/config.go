package backendtest

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
)

// Config describes the backend under test. Only Open is required; each other
// field names something that not every backend can do, and its zero value says
// that this one cannot, or takes the default.
type Config struct {
	// Open opens a backend on the space that o names. It ends the test itself
	// where it cannot. The kit closes what it opens.
	Open func(t testing.TB, o Options) perdure.Backend

	// Shared says that Open can be called for a space that is already open: the
	// two backends are as two processes on one store. Defaults to false: laws
	// about two processes use one backend twice.
	Shared bool
	// Stale says that Get, Load and ListUser may be behind the other backends on
	// the space, as a near cache is until its invalidation arrives. Defaults to
	// false: they are linearizable.
	Stale bool
	// Durable says that Open finds again what was acknowledged in the space
	// before it was closed. Defaults to false.
	Durable bool
	// Clock says that the backend takes Options.Now for its clock. Defaults to
	// false: its clock is close to this machine's.
	Clock bool
	// MaxClockSkew is how far ahead of its clock the backend takes versions, and
	// how long past their horizon it keeps tombstones. Defaults to
	// perdure.DefaultMaxClockSkew.
	MaxClockSkew time.Duration
	// FeedLength is a short length to which the backend can hold its feed, with
	// Options.FeedLength. The smaller, the faster the test. Defaults to 0: it
	// cannot.
	FeedLength int
	// MaxBytes is a low bound on memory that the backend keeps by answering
	// ErrFull, with Options.MaxBytes. Defaults to 0: it cannot.
	MaxBytes int64

	// Restart stops and starts what lies under the backends of the space, which
	// are closed meanwhile. Defaults to nothing. Only used with Durable.
	Restart func(t testing.TB, o Options)
	// Lose makes the store under an open backend forget all that is in the
	// space, its feed too. Defaults to nil: that cannot happen.
	Lose func(t testing.TB, o Options)
	// Overwrite replaces the stored bytes of a record under an open backend.
	// Defaults to nil: that cannot happen.
	Overwrite func(t testing.TB, o Options, id, value string)

	// Size multiplies how much the laws about many or concurrent writes do.
	// Defaults to 1.
	Size int
	// Checks is how many sequences of operations the properties are tried with,
	// unless -rapid.checks is given. The same laws over another connection need
	// fewer. Defaults to what rapid does.
	Checks int
	// Patience is how long the kit waits for what must come, or must end,
	// before it calls it missing. Defaults to ten seconds.
	Patience time.Duration
}

// Options say how one backend is to be opened.
type Options struct {
	// Space names the data: a key prefix or a directory, empty and fresh for each
	// law. It consists of a to z and 0 to 9.
	Space string
	// Dir is an empty directory of that space, the same for all its backends.
	Dir string
	// Now is the clock to use; nil unless Config.Clock is set.
	Now func() time.Time
	// FeedLength is how many changes the feed is to hold, about; 0 is the
	// backend's default.
	FeedLength int
	// MaxBytes is the bound on memory; 0 is the backend's default.
	MaxBytes int64
}

func (c Config) withDefaults(t *testing.T) Config {
	if c.Open == nil {
		t.Fatal("backendtest: Config.Open is required")
	}
	if c.MaxClockSkew == 0 {
		c.MaxClockSkew = perdure.DefaultMaxClockSkew
	}
	if c.Size == 0 {
		c.Size = 1
	}
	if c.Patience == 0 {
		c.Patience = 10 * time.Second
	}
	return c
}

// newSpace draws a name that nobody has used.
func newSpace() string {
	return "t" + strings.ToLower(rand.Text())
}

func needsShared(c *Config, _ *Options) string {
	return unless(c.Shared, "Shared")
}

func needsDurable(c *Config, _ *Options) string {
	return unless(c.Durable, "Durable")
}

func needsClock(c *Config, _ *Options) string {
	return unless(c.Clock, "Clock")
}

func needsFeedLength(c *Config, o *Options) string {
	o.FeedLength = c.FeedLength
	return unless(c.FeedLength > 0, "FeedLength")
}

func needsMaxBytes(c *Config, o *Options) string {
	o.MaxBytes = c.MaxBytes
	return unless(c.MaxBytes > 0, "MaxBytes")
}

func needsLose(c *Config, _ *Options) string {
	return unless(c.Lose != nil, "Lose")
}

func needsOverwrite(c *Config, _ *Options) string {
	return unless(c.Overwrite != nil, "Overwrite")
}

func unless(has bool, field string) string {
	if has {
		return ""
	}
	return field
}
