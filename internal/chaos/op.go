package chaos

import (
	"time"

	"github.com/perdure/perdure"
)

// Kind is what a client asked for.
type Kind string

const (
	Create   Kind = "create"
	Read     Kind = "read"
	Validate Kind = "validate" // by RPC
	List     Kind = "list"     // of a user's sessions
	Touch    Kind = "touch"
	Update   Kind = "update"
	Expire   Kind = "expire" // an expiry is brought forward or put off
	Delete   Kind = "delete"
	Revoke   Kind = "revoke"
	Rotate   Kind = "rotate"
	Sweep    Kind = "sweep"    // of what is over
	Health   Kind = "health"   // of the process; not part of the history
	Limit    Kind = "limit"    // the size of the process's files; not part of the history
	Shifted  Kind = "shifted"  // a change of state, sent without being asked
	Followed Kind = "change"   // a change of a session that was watched, sent without being asked
	InStep   Kind = "in step"  // a migration has come so far
	CutOver  Kind = "cut over" // it is to end, or how it has ended
	started  Kind = "started"  // the process has opened its store
	stopped  Kind = "stopped"  // it could not
)

// Request is what a client asks a process for.
type Request struct {
	Number int64         `json:"n,omitempty"` // of the reply that belongs to it
	Kind   Kind          `json:"kind"`
	ID     string        `json:"id,omitempty"`
	User   string        `json:"user,omitempty"`
	Key    string        `json:"key,omitempty"`
	Value  int           `json:"value,omitempty"`
	TTL    time.Duration `json:"ttl,omitempty"` // of what is created, or from now on
}

// Reply is what a process answers.
type Reply struct {
	Number   int64          `json:"n,omitempty"`
	Kind     Kind           `json:"kind"`
	Outcome  Outcome        `json:"outcome"`
	Live     bool           `json:"live,omitempty"` // whether the session was there
	ID       string         `json:"id,omitempty"`   // of what was created, read or rotated to
	IDs      []string       `json:"ids,omitempty"`  // of a list
	Expiry   time.Time      `json:"expiry,omitzero"`
	Metadata map[string]int `json:"metadata,omitempty"`
	Version  perdure.Millis `json:"version,omitempty"` // the time in the session's version
	State    string         `json:"state,omitempty"`
	Pending  int64          `json:"pending,omitempty"` // records in the journal
	Refused  int64          `json:"refused,omitempty"` // records that no merge could take
	Why      Reason         `json:"why,omitempty"`     // it was unavailable
	Error    string         `json:"error,omitempty"`
	Followed *followed      `json:"followed,omitempty"`
}

// followed is what a process that watches was told.
type followed struct {
	Began   bool // from here on nothing is missed
	Gap     bool // some changes before these were missed
	Changes []perdure.Change
}

// Outcome is how a request ended.
type Outcome string

const (
	Acknowledged Outcome = "acknowledged"
	// Refused: the request was answered, and nothing was done.
	Refused Outcome = "refused"
	// Unavailable: it was answered that it cannot be done now, before anything was.
	Unavailable Outcome = "unavailable"
	// Unknown: it may have been done or not.
	Unknown Outcome = "unknown"
)

// reads reports whether a request of the kind changes nothing.
func (k Kind) reads() bool { return k == Read || k == Validate || k == List }

// Op is a request in a history, with what became of it.
type Op struct {
	Request
	Reply      Reply
	Node       int
	Start, End time.Time
}

// begins reports whether a session under a new id was acknowledged.
func (op *Op) begins() bool {
	return op.Reply.Outcome == Acknowledged && (op.Kind == Create || op.Kind == Rotate && op.Reply.Live)
}
