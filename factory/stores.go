package factory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/archive"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/migrate"
)

// Stores are named instances. It is safe for concurrent use. Make one with
// NewStores, and end it with DestroyAll.
type Stores struct {
	logger *slog.Logger

	mu    sync.Mutex
	named map[string]*Instance // nil while it is being made
}

// DefaultName is the name of the instance that is meant where none is given.
const DefaultName = "default"

// NewStores makes an empty set. The logger hears of all instances; nil is none.
func NewStores(logger *slog.Logger) *Stores {
	return &Stores{logger: orDiscard(logger), named: map[string]*Instance{}}
}

// Create opens an instance under a name. It returns ErrExists where there is one
// of that name, and what Open returns.
func (s *Stores) Create(ctx context.Context, name string, c Config) (*Instance, error) {
	name = cmp.Or(name, DefaultName)
	if !s.reserve(name) {
		return nil, fmt.Errorf("%w: a store named %q; destroy it first, or give another name", perdure.ErrExists, name)
	}
	i, err := Open(ctx, c, s.logger.With("store", name))
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		delete(s.named, name)
		return nil, err
	}
	s.named[name] = i
	return i, nil
}

func (s *Stores) reserve(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, taken := s.named[name]
	if !taken {
		s.named[name] = nil
	}
	return !taken
}

// Get returns the instance of a name, or an ErrNotFound.
func (s *Stores) Get(name string) (*Instance, error) {
	name = cmp.Or(name, DefaultName)
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := s.named[name]; i != nil {
		return i, nil
	}
	return nil, fmt.Errorf("%w: there is no store named %q", errNoStore, name)
}

// errNoStore is an ErrNotFound that speaks of no session.
var errNoStore = noStore{}

type noStore struct{}

func (noStore) Error() string        { return "store not found" }
func (noStore) Is(target error) bool { return target == perdure.ErrNotFound }

// List returns all instances by name.
func (s *Stores) List() map[string]*Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := maps.Clone(s.named)
	maps.DeleteFunc(all, func(_ string, i *Instance) bool { return i == nil })
	return all
}

// Destroy closes an instance and forgets its name. What it has stored stays. It
// returns ErrNotFound where there is none of that name.
func (s *Stores) Destroy(name string) error {
	i, err := s.Get(name)
	if err != nil {
		return err
	}
	s.mu.Lock()
	delete(s.named, cmp.Or(name, DefaultName))
	s.mu.Unlock()
	return i.Close()
}

// DestroyAll closes all instances.
func (s *Stores) DestroyAll() error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(s.List())) {
		errs = append(errs, s.Destroy(name))
	}
	return errors.Join(errs...)
}

// Migrate moves the sessions of an instance to another, and leaves both in place.
func (s *Stores) Migrate(ctx context.Context, from, to string, o migrate.Options) (migrate.Result, error) {
	source, err := s.Get(from)
	if err != nil {
		return migrate.Result{}, err
	}
	target, err := s.Get(to)
	if err != nil {
		return migrate.Result{}, err
	}
	return migrate.Run(ctx, migrate.FromBackend(source.Backend()), target.Backend(), o)
}

// Switch has a live instance keep its sessions elsewhere: see Instance.Switch.
func (s *Stores) Switch(ctx context.Context, name, address string, o SwitchOptions) (Switched, error) {
	i, err := s.Get(name)
	if err != nil {
		return Switched{}, err
	}
	return i.Switch(ctx, address, o)
}

// Backup writes what an instance holds to out: see archive.Backup.
func (s *Stores) Backup(ctx context.Context, name string, out io.Writer, o archive.BackupOptions) (archive.Summary, error) {
	i, err := s.Get(name)
	if err != nil {
		return archive.Summary{}, err
	}
	o.Source = cmp.Or(o.Source, i.Address())
	return archive.Backup(ctx, i.Backend(), out, o)
}

// Restore merges a file that archive.Open has opened into an instance: see
// archive.File.Restore.
func (s *Stores) Restore(ctx context.Context, name string, f *archive.File, o archive.RestoreOptions) (archive.Restored, error) {
	i, err := s.Get(name)
	if err != nil {
		return archive.Restored{}, err
	}
	return f.Restore(ctx, &perdure.Merger{Backend: i.Backend(), Clock: perdure.NewClock(perdure.TimeOf(i.Backend(), nil))}, o)
}

// Condition says how well a store is.
type Condition string

const (
	ConditionHealthy   Condition = "healthy"
	ConditionDegraded  Condition = "degraded"  // it serves, without Redis, or would not take writes without it
	ConditionUnhealthy Condition = "unhealthy" // it takes no writes
)

// Health is that of a set of stores: as bad as its worst.
type Health struct {
	Overall Condition                 `json:"overall"`
	Stores  map[string]InstanceHealth `json:"stores"`
}

// InstanceHealth is that of one.
type InstanceHealth struct {
	Condition Condition `json:"condition"`
	Kind      string    `json:"kind"`
	Address   string    `json:"address"` // without secrets
	Error     string    `json:"error,omitempty"`
	// SwitchedFrom are the addresses that its sessions were at before, without secrets.
	SwitchedFrom []string `json:"switchedFrom,omitempty"`
	// Failover is set where it fails over.
	Failover *failover.Health `json:"failover,omitempty"`
}

// Health looks at all instances. The context bounds the look.
func (s *Stores) Health(ctx context.Context) Health {
	h := Health{Overall: ConditionHealthy, Stores: map[string]InstanceHealth{}}
	for name, i := range s.List() {
		one := i.Health(ctx)
		h.Stores[name] = one
		if one.Condition == ConditionUnhealthy || h.Overall == ConditionHealthy {
			h.Overall = one.Condition
		}
	}
	return h
}

func (i *Instance) switchedFrom() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.left)
}

// Health looks at the instance.
func (i *Instance) Health(ctx context.Context) InstanceHealth {
	h := InstanceHealth{Condition: ConditionHealthy, Kind: i.Kind(), Address: i.Address(), SwitchedFrom: i.switchedFrom()}
	if state, fails := i.Failover(ctx); fails {
		if h.Failover = &state; state.State != failover.Healthy || state.JournalError != "" {
			h.Condition = ConditionDegraded
		}
	}
	if err := i.Ping(ctx); err != nil {
		h.Condition, h.Error = ConditionUnhealthy, err.Error()
	}
	return h
}
