package failover

import (
	"time"
)

// State is how a Backend serves.
type State string

const (
	// Healthy: from the front store.
	Healthy State = "healthy"
	// Degraded: from mirror and journal.
	Degraded State = "degraded"
	// ReadOnly: degraded, and the journal takes no writes.
	ReadOnly State = "read-only"
	// Recovering: from the front store, while the journal is merged into it.
	Recovering State = "recovering"
	// Reseeding: recovering from the loss of data in the front store.
	Reseeding State = "data-loss"
)

// outage reports whether the front store is not, or not wholly, served from.
func (s State) outage() bool { return s == Degraded || s == ReadOnly }

// Transition is a change of state.
type Transition struct {
	From, To State
	At       time.Time
	Reason   string
}
