package migrate

import (
	"errors"
	"sync"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/printable"
)

// Result is what became of the sessions. Total is the sum of Migrated, Skipped,
// Ended and Failed.
type Result struct {
	// Total counts the sessions that were looked at: live, and let through by the
	// filter. One that changed while it was on its way counts once more, and so do
	// those that a run was carrying when it was killed.
	Total int64 `json:"total"`
	// Migrated are those that the target holds now.
	Migrated int64 `json:"migrated"`
	// Skipped are those that Options.SkipExisting left alone.
	Skipped int64 `json:"skipped"`
	// Ended are those that the target knows to be over: logged out, revoked.
	Ended int64 `json:"ended"`
	// Failed could not be read, or the target did not take them; tombstones and
	// epochs among them.
	Failed int64 `json:"failed"`
	// Conflicts are those of Migrated that the target held in another state: both
	// were merged.
	Conflicts int64 `json:"conflicts"`
	// Expired were past their deadline and stayed behind. They are not in Total.
	Expired int64 `json:"expired"`
	// Tombstones, and epochs, were carried along.
	Tombstones int64 `json:"tombstones"`
	// Deleted are those whose life at the source was ended.
	Deleted int64 `json:"deleted,omitempty"`
	// Bytes are those of the records, as they are stored.
	Bytes int64 `json:"bytes"`
	// Duration is how long it took, earlier runs of the same checkpoint included.
	Duration time.Duration `json:"-"`
	// Errors are the first of those that are counted in Failed.
	Errors []Failure `json:"errors"`
}

// Failure says why something could not be moved.
type Failure struct {
	// ID is the session's, or the key that it was stored under; without
	// characters that could drive a terminal.
	ID string `json:"id"`
	// Reason holds nothing of what the session holds.
	Reason string `json:"reason"`
}

// maxPrinted bounds what is told of an id or a reason.
const maxPrinted = 200

// ErrIncomplete says that some sessions could not be moved, and the rest were.
var ErrIncomplete = errors.New("some sessions were not moved")

// tally counts what becomes of sessions. It is safe for concurrent use.
type tally struct {
	mu     sync.Mutex
	result Result
	most   int
}

func (t *tally) add(change func(*Result)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	change(&t.result)
}

func (t *tally) fail(failures ...Failure) {
	t.add(func(r *Result) {
		r.Total += int64(len(failures))
		r.Failed += int64(len(failures))
		for _, f := range failures {
			if len(r.Errors) < t.most {
				r.Errors = append(r.Errors, Failure{printable.Clip(f.ID, maxPrinted), printable.Clip(f.Reason, maxPrinted)})
			}
		}
	})
}

func (t *tally) snapshot() Result {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := t.result
	r.Errors = append([]Failure{}, r.Errors...)
	return r
}

// count says what became of records that were merged.
func (t *tally) count(records []perdure.Record, merged []perdure.Merged) {
	var failures []Failure
	t.add(func(r *Result) {
		for i := range merged {
			m := &merged[i]
			switch session := records[i].Kind == perdure.KindSession; {
			case m.Err != nil:
				failures = append(failures, Failure{records[i].ID, m.Err.Error()})
				continue
			case !session:
				r.Tombstones++
			case m.Killed:
				r.Total++
				r.Ended++
			default:
				r.Total++
				r.Migrated++
				if m.Met && m.Changed {
					r.Conflicts++
				}
			}
			r.Bytes += int64(len(records[i].ID) + records[i].EncodedSize())
		}
	})
	t.fail(failures...)
}
