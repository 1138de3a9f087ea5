package perdure

import (
	"context"
	"log/slog"
	"reflect"
	"sync"
	"time"
)

// Options are the settings of a Store. The zero value works.
type Options struct {
	// TTL is the life of a session that asks for none. Defaults to 24 hours.
	TTL time.Duration
	// MaxTTL is the longest life that a session may ask for at its creation.
	// Defaults to 400 days.
	MaxTTL time.Duration
	// Horizon is how long after its creation a session can be extended to, at
	// most; one that asked for a longer life at its creation has that instead.
	// Tombstones of deleted sessions stand until then. Defaults to 7 days.
	Horizon time.Duration
	// IdleTimeout ends a session so long after its last access (NIST SP 800-53
	// AC-12). It is fixed when the session is created. Defaults to none.
	IdleTimeout time.Duration
	// MaxMetadata bounds the metadata of a session, in bytes of JSON. Defaults
	// to 64 KiB.
	MaxMetadata int
	// SweepInterval is how often expired sessions are swept from the backend in
	// the background. Defaults to 10 seconds; negative is never.
	SweepInterval time.Duration

	// Codec seals bodies. Defaults to plain bodies.
	Codec Codec
	// Policy decides who may do what. Defaults to all.
	Policy Policy
	// Auditor is told what was done. Defaults to none.
	Auditor Auditor
	// Recorder measures. Defaults to none.
	Recorder Recorder
	// Now is this machine's clock. It dates what an Auditor and a Recorder are
	// told, and stamps and judges sessions if the backend is no Timekeeper.
	// Defaults to time.Now.
	Now func() time.Time
	// Logger hears of trouble in the background. Defaults to none.
	Logger *slog.Logger
}

const (
	defaultTTL           = 24 * time.Hour
	defaultMaxTTL        = 400 * 24 * time.Hour
	defaultHorizon       = 7 * 24 * time.Hour
	defaultMaxMetadata   = 64 << 10
	maxMaxMetadata       = 16 << 20
	defaultSweepInterval = 10 * time.Second
)

func (o Options) withDefaults() (Options, error) {
	setDefault(&o.TTL, defaultTTL)
	setDefault(&o.MaxTTL, max(defaultMaxTTL, o.TTL))
	setDefault(&o.Horizon, defaultHorizon)
	setDefault(&o.MaxMetadata, defaultMaxMetadata)
	setDefault(&o.SweepInterval, defaultSweepInterval)
	if o.Codec == nil {
		o.Codec = plainCodec{}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	switch {
	case o.TTL < time.Second:
		return o, invalid("TTL", "is %v; at least 1s is needed", o.TTL)
	case o.MaxTTL < o.TTL:
		return o, invalid("MaxTTL", "(%v) is below TTL (%v)", o.MaxTTL, o.TTL)
	case o.Horizon < o.TTL:
		// A longer default life simply carries its own horizon.
		o.Horizon = o.TTL
	}
	switch {
	case o.IdleTimeout < 0:
		return o, invalid("IdleTimeout", "is %v; it must not be negative", o.IdleTimeout)
	case o.MaxMetadata < 2 || o.MaxMetadata > maxMaxMetadata:
		return o, invalid("MaxMetadata", "is %d bytes; 2 to %d are allowed", o.MaxMetadata, maxMaxMetadata)
	}
	return o, nil
}

func setDefault[T int | time.Duration](field *T, value T) {
	if *field == 0 {
		*field = value
	}
}

// Store keeps sessions in a Backend. All session logic is here: ids, validation,
// time, patches and compare-and-set. It is safe for concurrent use.
//
// Every method returns when its context ends. Where the backend cannot answer it
// returns an ErrUnavailable; that is never a reason to log anybody out.
type Store struct {
	options Options
	backend Backend
	clock   *Clock
	merger  Merger
	watched bool // whether an Auditor or a Recorder looks on

	stop    context.CancelFunc
	sweeper sync.WaitGroup
}

// New makes a Store over the backend, which from then on belongs to it. It returns
// an ErrInvalid if options contradict each other, or if there is no backend: a nil
// one is what is left of an error that was not looked at.
func New(backend Backend, options Options) (*Store, error) {
	if isNil(backend) {
		return nil, invalid("backend", "is nil; look at the error of what was to open it")
	}
	o, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Store{options: o, backend: backend, clock: NewClock(TimeOf(backend, o.Now)), watched: o.Auditor != nil || o.Recorder != nil}
	s.merger = Merger{Backend: backend, Clock: s.clock, Codec: o.Codec}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	if o.SweepInterval > 0 {
		s.sweeper.Go(func() { s.sweepEvery(ctx, o.SweepInterval) })
	}
	return s, nil
}

// isNil reports whether there is no backend: none at all, or a nil pointer to one.
func isNil(backend Backend) bool {
	if backend == nil {
		return true
	}
	v := reflect.ValueOf(backend)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

// Close ends the background sweep and closes the backend.
func (s *Store) Close() error {
	s.stop()
	s.sweeper.Wait()
	return s.backend.Close()
}

// Ping returns nil when the store can take a write now.
func (s *Store) Ping(ctx context.Context) error { return s.backend.Ping(ctx) }

// Stats counts what the backend holds.
func (s *Store) Stats(ctx context.Context) (Stats, error) { return s.backend.Stats(ctx) }

// MaxTTL is the longest life that a new session can be given.
func (s *Store) MaxTTL() time.Duration { return s.options.MaxTTL }

// Backend is what the store keeps its sessions in.
func (s *Store) Backend() Backend { return s.backend }
