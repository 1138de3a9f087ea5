package migrate

import (
	"errors"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/printable"
)

// Report is what Verify found.
type Report struct {
	// Checked counts the sessions of the source, and Tombstones its tombstones and
	// epochs, that were looked for in the target. Reverse counts the sessions of
	// the target that were looked for in the source.
	Checked    int64 `json:"checked"`
	Tombstones int64 `json:"tombstones"`
	Reverse    int64 `json:"reverse"`
	// Found counts the differences by their kind; it is empty where the stores
	// hold the same.
	Found map[Kind]int64 `json:"found"`
	// Differences are the first of them.
	Differences []Difference `json:"differences"`
	// Refused are sessions of the source that cannot be read.
	Refused int64 `json:"refused"`
	// Duration is how long it took.
	Duration time.Duration `json:"-"`
}

// Difference is one that was found between the two stores.
type Difference struct {
	ID   string `json:"id"`
	Kind Kind   `json:"kind"`
	// Detail holds nothing of what the session holds.
	Detail string `json:"detail"`
}

// Kind is that of a difference.
type Kind string

const (
	Missing Kind = "missing" // live in the source, unknown to the target
	Extra   Kind = "extra"   // live in the target, unknown to the source
	Ended   Kind = "ended"   // live in the source, ended in the target
	Revived Kind = "revived" // ended in the source, live in the target
	Unended Kind = "unended" // ended in the source; the target does not know
	Head    Kind = "header"  // version, birth, idle timeout, user or parent differ
	Body    Kind = "body"    // what the session holds differs
	Life    Kind = "life"    // expiry, last access or horizon differ by more than the tolerance
	Index   Kind = "index"   // in the target, but not in its list of the user's sessions
)

// ErrDiffers says that the two stores do not hold the same.
var ErrDiffers = errors.New("the stores do not hold the same")

// OK reports whether the target holds what the source holds, and nothing else.
func (r *Report) OK() bool { return len(r.Found) == 0 && r.Refused == 0 }

// findings collects a report. It is safe for concurrent use.
type findings struct {
	mu     sync.Mutex
	report Report
	most   int
}

func newFindings(most int) *findings {
	return &findings{most: most, report: Report{Found: map[Kind]int64{}, Differences: []Difference{}}}
}

func (f *findings) add(change func(*Report)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.report)
}

func (f *findings) differ(d Difference) {
	f.add(func(r *Report) {
		if r.Found[d.Kind]++; len(r.Differences) < f.most {
			r.Differences = append(r.Differences, Difference{printable.Clip(d.ID, maxPrinted), d.Kind, d.Detail})
		}
	})
}
