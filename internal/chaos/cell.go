package chaos

import (
	"cmp"
	"strings"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

// Cell is one scenario: what goes wrong, what goes on meanwhile, and where.
type Cell struct {
	Fault    Fault
	Workload Workload
	Topology Topology
	Mirror   failover.Mirror // empty: the default
	Tuning   Tuning          // what the cell is about, where that is a setting
	Members  int             // perdure processes
	Children bool            // the first is a process of its own, which can be killed
	// Bound is what is not promised here: see Bound.
	Bound Bound

	// What the negative controls change.
	wrap       func(*site) func(front perdure.Backend) perdure.Backend
	plant      func(q Request, do func(Request) Reply) Reply
	afterKill  func(*member) error
	plain      bool   // a Pair is not kept in step: see finishPlain
	migration  string // the bug of the one that keeps a Pair in step
	bareOthers bool   // only the first process fails over: the others' mirrors would heal the bug
}

// Bound is where the promise ends in a cell. What falls under it is counted by
// itself and is no violation.
type Bound struct {
	Why string
	// Lost is set where an acknowledged session may be gone at the end, and
	// NotFound where it may seem so meanwhile.
	Lost, NotFound bool
	// Skew is how far the clocks of processes differ: which of a login and a
	// revocation of all came first is open within it.
	Skew time.Duration
}

// Name is unique in a table, and what -run selects by.
func (c *Cell) Name() string {
	parts := []string{c.Fault.Name, c.Workload.Name, string(c.Topology), cmp.Or(string(c.Mirror), "default")}
	return strings.Join(parts, "/")
}
