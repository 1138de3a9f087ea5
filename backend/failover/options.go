package failover

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"

	"github.com/perdure/perdure"
)

// Mirror says what a process keeps of the front store for an outage.
type Mirror string

const (
	// MirrorAuto is MirrorFull while what is stored fits a quarter of MaxMirrorBytes,
	// and MirrorSeen beyond. Health says which, and why.
	MirrorAuto Mirror = "auto"
	// MirrorSeen keeps the sessions that this process read or wrote.
	MirrorSeen Mirror = "seen"
	// MirrorFull keeps all sessions: each is readable on every instance, and
	// the front store can be filled again from here should it lose its data.
	MirrorFull Mirror = "full"
)

// Outage says what is done while the front store cannot be reached.
type Outage string

const (
	// OutageServe reads from the mirror and writes to the journal.
	OutageServe Outage = "serve"
	// OutageReadOnly reads from the mirror and refuses writes.
	OutageReadOnly Outage = "read-only"
	// OutageRefuse answers ErrUnavailable to everything.
	OutageRefuse Outage = "refuse"
)

// DataLoss says what is done when the front store comes back without data that
// it had acknowledged.
type DataLoss string

const (
	// DataLossReseed fills it again from the mirror, tombstones first.
	DataLossReseed DataLoss = "re-seed"
	// DataLossRelogin leaves it as it is: who is not there must log in again.
	// What was written in the outage is merged all the same.
	DataLossRelogin DataLoss = "re-login"
)

// Options says how a Backend fails over. Open is required; of everything else
// the zero value works.
type Options struct {
	// Open opens the front store. It is called until it succeeds: a front store
	// that is absent at the start is an outage like any other. Required.
	Open func(ctx context.Context) (perdure.Backend, error)
	// Dir is the directory of journals. What is written in an outage is on disk
	// there before it is acknowledged. Processes that share it each get a folder
	// of their own, and the next to start takes over what one that is gone has
	// left. Defaults to none: the journal is in memory, and a crash in an outage
	// loses it. Health says so.
	Dir string
	// Store says which store the front store is, in one line without secrets: its
	// hosts and what begins its keys, say. Journals and mirrors on disk are kept apart
	// by it, where processes of several stores share a directory. Defaults to none:
	// the journals in the directory that say nothing else are of this store.
	Store string
	// MaxDowntime bounds how long a process may have been down for it to serve, after a
	// start in an outage, the sessions that it had kept on disk: the front store may
	// have been well meanwhile, and others may have ended them. Beyond it they are
	// unavailable until the front store was reached. Defaults to 5 minutes.
	MaxDowntime time.Duration
	// Mirror is what is kept for an outage. Defaults to MirrorAuto.
	Mirror Mirror
	// Outage is what is done in one. Defaults to OutageServe.
	Outage Outage
	// Standby has nothing written to the journal, or served from the mirror, until
	// Activate: for a store that sessions are only being moved to. Defaults to serving
	// at once.
	Standby bool
	// MaxAge bounds how long after the mirror was last in step with the front
	// store sessions are served that were not made in the outage. Defaults to no
	// bound.
	MaxAge time.Duration
	// DataLoss is what is done after one. Defaults to DataLossReseed.
	DataLoss DataLoss

	// MaxMirrorBytes bounds the mirror. Sessions beyond it cannot be read in an
	// outage; health counts them. Defaults to 1 GiB.
	MaxMirrorBytes int64
	// MaxJournalBytes bounds the journal. At the bound writes are refused, but for
	// those that end sessions: they have an eighth of it and three quarters of
	// MaxMirrorBytes more. Defaults to 1 GiB.
	MaxJournalBytes int64
	// MaxJournalAge bounds the age of the oldest entry. At the bound writes are
	// refused, but for those that end sessions. Defaults to 24 hours.
	MaxJournalAge time.Duration

	// OpenTimeout bounds one attempt to open the front store. Defaults to 1
	// second. A call is bounded by the front store itself: it should not take
	// longer than a caller who fails over can wait.
	OpenTimeout time.Duration
	// ProbeTimeout bounds one probe of the front store. One with several servers may
	// take twice as long to answer for all. Defaults to 300 ms.
	ProbeTimeout time.Duration
	// MaxRetries is how often a failed call is tried again where a probe finds
	// the front store well. Defaults to 3; negative is never.
	MaxRetries int
	// RetryDelay is the time between attempts to reach the front store in an
	// outage. Defaults to 1 second.
	RetryDelay time.Duration
	// HealthCheckInterval is the time between probes while all is well.
	// Defaults to 30 seconds.
	HealthCheckInterval time.Duration
	// RecoveryRate bounds the records merged per second after an outage.
	// Defaults to 20,000.
	RecoveryRate int
	// OutageIDAge is how long an id minted in an outage, and not found here, is
	// taken for one that another process still has in its journal. It is to be no
	// shorter than the horizon of sessions: a journal may be as old as they live.
	// Defaults to 7 days.
	OutageIDAge time.Duration
	// LossWindow is how much of what was acknowledged is merged again when the
	// front store turns out to be another server, or the same with another
	// history. Defaults to 1 minute.
	LossWindow time.Duration

	// MaxClockSkew is the bound on the difference of clocks that the front store
	// has: how much longer than its horizon a tombstone counts. Defaults to
	// perdure.DefaultMaxClockSkew.
	MaxClockSkew time.Duration

	// Codec opens and seals bodies, to merge them. Defaults to plain bodies.
	Codec perdure.Codec
	// Now is this machine's clock: all goes by it if the front store is no
	// perdure.Timekeeper. Else it is read once, at the start, for the time until
	// the front store is reached. Defaults to time.Now.
	Now func() time.Time
	// Uptime tells how long the machine has been up, by a clock that nobody can set, and
	// names its present boot: what a process stamped in an outage by a clock that was
	// wrong, and that was killed in it, is set right by that. Defaults to that of the
	// system, on Linux; elsewhere such stamps count as made right before the next start.
	Uptime func() (boot string, uptime time.Duration)
	// Explain puts a reason in the words of who set this up: it may name a setting where
	// the front store names an option. Defaults to the reason as it is.
	Explain func(reason string) string
	// Notify is told of each transition, in order, and must not block.
	// Defaults to none.
	Notify func(Transition)
	// Logger hears of transitions and of trouble. Defaults to none.
	Logger *slog.Logger

	journalMade func() // hears that the data file of the journal was made after Open
}

func (o Options) withDefaults() (Options, error) {
	setDefault(&o.MaxDowntime, 5*time.Minute)
	setDefault(&o.Mirror, MirrorAuto)
	setDefault(&o.Outage, OutageServe)
	setDefault(&o.DataLoss, DataLossReseed)
	setDefault(&o.MaxMirrorBytes, 1<<30)
	setDefault(&o.MaxJournalBytes, 1<<30)
	setDefault(&o.MaxJournalAge, 24*time.Hour)
	setDefault(&o.OpenTimeout, time.Second)
	setDefault(&o.ProbeTimeout, 300*time.Millisecond)
	setDefault(&o.MaxRetries, 3)
	setDefault(&o.RetryDelay, time.Second)
	setDefault(&o.HealthCheckInterval, 30*time.Second)
	setDefault(&o.RecoveryRate, 20_000)
	setDefault(&o.OutageIDAge, 7*24*time.Hour)
	setDefault(&o.LossWindow, time.Minute)
	setDefault(&o.MaxClockSkew, perdure.DefaultMaxClockSkew)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Explain == nil {
		o.Explain = func(reason string) string { return reason }
	}
	if o.Uptime == nil {
		o.Uptime = systemUptime
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, o.validate()
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (o *Options) validate() error {
	if o.Open == nil {
		return invalid("Open", "is required: it opens the front store")
	}
	if o.Mirror != MirrorAuto && o.Mirror != MirrorSeen && o.Mirror != MirrorFull {
		return invalid("Mirror", "is %q; %q, %q and %q are allowed", o.Mirror, MirrorAuto, MirrorSeen, MirrorFull)
	}
	if o.Outage != OutageServe && o.Outage != OutageReadOnly && o.Outage != OutageRefuse {
		return invalid("Outage", "is %q; %q, %q and %q are allowed", o.Outage, OutageServe, OutageReadOnly, OutageRefuse)
	}
	if o.DataLoss != DataLossReseed && o.DataLoss != DataLossRelogin {
		return invalid("DataLoss", "is %q; %q and %q are allowed", o.DataLoss, DataLossReseed, DataLossRelogin)
	}
	if len(o.Store) > maxStore || strings.ContainsFunc(o.Store, unicode.IsControl) || o.Store != strings.TrimSpace(o.Store) {
		return invalid("Store", "is not one line of at most %d bytes", maxStore)
	}
	for name, d := range map[string]time.Duration{
		"MaxDowntime":   o.MaxDowntime,
		"MaxJournalAge": o.MaxJournalAge, "OpenTimeout": o.OpenTimeout, "ProbeTimeout": o.ProbeTimeout,
		"RetryDelay": o.RetryDelay, "HealthCheckInterval": o.HealthCheckInterval, "OutageIDAge": o.OutageIDAge, "LossWindow": o.LossWindow, "MaxClockSkew": o.MaxClockSkew,
	} {
		if d < 0 {
			return invalid(name, "is %v; it must not be negative", d)
		}
	}
	if o.RecoveryRate < 0 || o.MaxAge < 0 {
		return invalid("RecoveryRate", "and MaxAge must not be negative")
	}
	return nil
}

func invalid(field, format string, args ...any) error {
	return &perdure.InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)}
}
