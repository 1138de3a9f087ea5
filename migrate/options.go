package migrate

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/perdure/perdure"
)

// Options say how to move sessions. The zero value works: it moves them all and
// stops at the first that cannot be moved.
type Options struct {
	Reading

	// SkipExisting leaves a session as it is that the target holds already, or
	// whose end it knows. Sessions that change while the run is under way are
	// merged all the same. Defaults to merging both.
	SkipExisting bool
	// DeleteMigrated ends the life of a session at the source as soon as the
	// target holds it. That leaves no tombstone: it is not a logout, and the
	// session can be moved back. The source is a backend then. Defaults to
	// leaving the source as it is.
	DeleteMigrated bool
	// ContinueOnError goes on after a session that the target does not take. A
	// store that is unavailable stops the run all the same. Defaults to stopping.
	ContinueOnError bool
	// Rate bounds the sessions a second. Defaults to no bound.
	Rate int

	// Checkpoint is the path of a file that says how far the run is, for Resume.
	// It is written four times a second, and removed when all is done. Defaults to
	// none.
	Checkpoint string
	// Resume goes on where the checkpoint says, or begins where there is none.
	// Without it a checkpoint that is there is an ErrCheckpoint.
	Resume bool
	// Name says what is moved where; a checkpoint of another name is refused.
	// Defaults to none.
	Name string

	// Reverse has Live keep the source in step with the target as well. Defaults to
	// one way.
	Reverse bool
	// SkipVerify does not compare the two stores before Run says that it is done: it
	// relies on the target having kept what it acknowledged, as its history tells.
	// Defaults to comparing.
	SkipVerify bool
	// Logger is told of what made the work begin again. Defaults to none.
	Logger *slog.Logger

	// Codec opens and seals sessions that meet another state of theirs in the
	// target. Both stores share it. Defaults to plain bodies.
	Codec perdure.Codec
}

// Reading says how stores are read.
type Reading struct {
	// Filter says which sessions to look at. Defaults to all.
	Filter Filter
	// BatchSize is about how many sessions are on their way together, for each
	// worker. Defaults to 1000, at most 5000.
	BatchSize int
	// Workers is how many parts of the source are read at the same time. Defaults
	// to 4.
	Workers int
	// Timeout bounds one call of a store. Defaults to 10 seconds.
	Timeout time.Duration
	// Patience is for how long a store that is unavailable is tried again.
	// Defaults to 30 seconds.
	Patience time.Duration
	// MaxErrors bounds how many errors, or differences, are listed. All are
	// counted. Defaults to 100.
	MaxErrors int
	// Progress is told how far it is, every so often and at the end, and never
	// from two goroutines at a time. Defaults to none.
	Progress func(Progress)
	// ProgressInterval is how often. Defaults to one second.
	ProgressInterval time.Duration
	// Now is the clock. Defaults to that of the store that is written to or compared
	// with, or, if it has none, to time.Now.
	Now func() time.Time
}

const (
	defaultBatch    = 1000
	maxBatch        = 5000
	defaultWorkers  = 4
	maxWorkers      = 256
	defaultTimeout  = 10 * time.Second
	defaultPatience = 30 * time.Second
	defaultErrors   = 100
)

// goBy sets the clock, unless it is given.
func (r *Reading) goBy(to perdure.Backend) {
	if r.Now == nil {
		r.Now = perdure.TimeOf(to, nil)
	}
}

// check fills in the defaults. It returns a perdure.ErrInvalid that names the
// field.
func (r *Reading) check() error {
	setDefault(&r.BatchSize, defaultBatch)
	setDefault(&r.Workers, defaultWorkers)
	setDefault(&r.MaxErrors, defaultErrors)
	setDefault(&r.Timeout, defaultTimeout)
	setDefault(&r.Patience, defaultPatience)
	setDefault(&r.ProgressInterval, time.Second)
	switch {
	case r.BatchSize < 1 || r.BatchSize > maxBatch:
		return invalid("BatchSize", "is %d; 1 to %d are allowed", r.BatchSize, maxBatch)
	case r.Workers < 1 || r.Workers > maxWorkers:
		return invalid("Workers", "is %d; 1 to %d are allowed", r.Workers, maxWorkers)
	case r.MaxErrors < 0:
		return invalid("MaxErrors", "is %d; it must not be negative", r.MaxErrors)
	case r.Timeout < 0 || r.Patience < 0 || r.ProgressInterval < 0:
		return invalid("Timeout", "is %v, Patience %v and ProgressInterval %v; none may be negative", r.Timeout, r.Patience, r.ProgressInterval)
	}
	for _, id := range r.Filter.IDs {
		if err := perdure.CheckID(id); err != nil {
			return err
		}
	}
	return nil
}

func (o *Options) check(from Source) error {
	if err := o.Reading.check(); err != nil {
		return err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	_, backend := from.(store)
	switch {
	case o.Rate < 0:
		return invalid("Rate", "is %d; it must not be negative", o.Rate)
	case o.DeleteMigrated && !backend:
		return invalid("DeleteMigrated", "is set and the source can only be read; leave it out, and remove the old sessions with the old product")
	case o.Resume && o.Checkpoint == "":
		return invalid("Resume", "is set and Checkpoint is not; give the file that the run before wrote")
	}
	return nil
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

func invalid(field, format string, args ...any) error {
	return &perdure.InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)}
}
