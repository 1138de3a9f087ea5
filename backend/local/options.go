package local

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/perdure/perdure"
)

const (
	defaultMaxBytes   = 1 << 30
	defaultFeedLength = 1 << 16
	defaultTimeout    = time.Second
	defaultLockWait   = time.Second

	minMaxBytes = 64 << 10
)

// Options says how to set up a Backend. The zero value works: memory only.
type Options struct {
	// Dir is the data directory. It is made if it is missing, with mode 0700,
	// and the file perdure.db in it with mode 0600. Defaults to none: sessions
	// end with the process.
	Dir string

	// MaxBytes bounds the memory of all records and their indexes, as Stats
	// accounts for it. The garbage collector's room and the change feed come on
	// top. A write that would grow past it is refused with perdure.ErrFull;
	// the last sixteenth is kept for tombstones, so that a full backend can
	// still end sessions. At least 64 KiB. Defaults to 1 GiB.
	MaxBytes int64

	// MaxEndBytes is how much more than MaxBytes the records that end sessions may
	// take, tombstones and epochs, so that there is room for the ends of sessions that
	// are not stored here: a journal is asked for those. Defaults to none.
	MaxEndBytes int64

	// EndReserve is how many bytes of the data file are kept, on the disk, for writes
	// that end sessions: a full disk refuses all others. Defaults to a 2,048th of
	// MaxBytes, at least 64 KiB, at most 512 KiB or an eighth of what is free; negative is
	// none.
	EndReserve int64

	// MaxClockSkew is how far the version of a write may be ahead of this
	// machine's clock, and how much longer than its horizon a tombstone stands.
	// Defaults to perdure.DefaultMaxClockSkew.
	MaxClockSkew time.Duration

	// FeedLength is how many changes can be read back, at about 150 bytes each.
	// Defaults to 65,536.
	FeedLength int

	// Copy says that what is here are copies of the records of another store. It is
	// for that store to say that a session is over: one that would leave a tombstone
	// stays as it is for as long as that would. Defaults to false.
	Copy bool

	// LockWait is how long Open waits for another process that holds the
	// directory, and may be about to end. Defaults to one second; negative is not
	// at all.
	LockWait time.Duration

	// Late opens a backend without its data file where that is new and the disk has no
	// room for it: the first write for which there is room makes it, and until then
	// every write is a perdure.ErrUnavailable. Defaults to false: that is an ErrNoRoom.
	Late bool

	// Made is told that the data file was made after Open: by Late, or anew since it had
	// been removed. It must not block, or call the backend. Defaults to none.
	Made func()

	// Strict refuses a data file of which the newer of the two meta pages may be the one
	// that is damaged: what was written last would be missing, in silence. It is for who
	// can Salvage it. Defaults to false: a crash of the machine may leave such a file.
	Strict bool

	// Timeout bounds a call whose context has no deadline. Only a write to the
	// data file takes long enough to meet it. Defaults to one second.
	Timeout time.Duration

	// Now tells the time. It must be safe for concurrent use. Defaults to
	// time.Now.
	Now func() time.Time

	// Logger hears of records that cannot be read and of a data file that
	// refuses writes, both of which Inspect shows too. It is never given what a
	// session holds. Defaults to none.
	Logger *slog.Logger
}

// withDefaults returns the options with the defaults in the place of zeroes, or
// an ErrInvalid that names the field.
func (o Options) withDefaults() (Options, error) {
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	if o.MaxClockSkew == 0 {
		o.MaxClockSkew = perdure.DefaultMaxClockSkew
	}
	if o.FeedLength == 0 {
		o.FeedLength = defaultFeedLength
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if o.LockWait == 0 {
		o.LockWait = defaultLockWait
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.MaxBytes < minMaxBytes:
		return o, invalid("Options.MaxBytes", "is %d; at least %d is needed, or 0 for %d", o.MaxBytes, minMaxBytes, defaultMaxBytes)
	case o.MaxEndBytes < 0:
		return o, invalid("Options.MaxEndBytes", "is %d; it cannot be negative", o.MaxEndBytes)
	case o.MaxClockSkew < 0:
		return o, invalid("Options.MaxClockSkew", "is %v; it cannot be negative", o.MaxClockSkew)
	case o.FeedLength < 0:
		return o, invalid("Options.FeedLength", "is %d; it cannot be negative", o.FeedLength)
	case o.Timeout < 0:
		return o, invalid("Options.Timeout", "is %v; it cannot be negative", o.Timeout)
	}
	return o, nil
}

func invalid(field, format string, args ...any) error {
	return &perdure.InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)}
}
