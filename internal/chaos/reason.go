package chaos

import (
	"context"
	"errors"
	"strings"
)

// Reason is why a call was not answered well, as a class.
type Reason string

const (
	NotHeld       Reason = "this process holds no copy"
	NotWhole      Reason = "a list would not be whole"
	Undecided     Reason = "another process may hold it"
	TooOld        Reason = "the copy is too old"
	JournalFull   Reason = "the journal is full"
	Merging       Reason = "it is being merged"
	Policy        Reason = "the policy refuses it"
	NoAnswer      Reason = "Redis did not answer in time"
	Unreachable   Reason = "the connection to Redis failed"
	RefusedThere  Reason = "Redis refused it"
	ProcessDown   Reason = "the perdure process was down"
	NotTold       Reason = "the RPC does not say why"
	OtherwiseGone Reason = "other"
)

// signs are what the texts of errors have in them, the first that fits counts.
var signs = []struct {
	text string
	why  Reason
}{
	{"another process may hold it", Undecided},
	{"this process does not hold", NotHeld},
	{"may not be all", NotWhole},
	{"a list of all sessions", NotWhole},
	{"older than the policy", TooOld},
	{"being merged", Merging},
	{"oldest entry of the journal", JournalFull},
	{"the store is full", JournalFull},
	{"the policy is to refuse", Policy},
	{"did not take the write", JournalFull},
	{"in time", NoAnswer},
	{"connection to redis failed", Unreachable},
	{"redis has no room", RefusedThere},
	{"redis says", RefusedThere},
	{"no node of the Cluster", RefusedThere},
	{"part of the Cluster", RefusedThere},
	{"the session store cannot answer now", NotTold},
	{"the sessions cannot all be listed now", NotTold},
}

// classify says why a call ended with the error. The last of its reasons is what
// decided: that Redis is away comes before.
func classify(err error) Reason {
	text := err.Error()
	for _, s := range signs {
		if strings.Contains(text, s.text) {
			return s.why
		}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return NoAnswer
	}
	return OtherwiseGone
}

// before reports whether it was decided before anything was done.
func (r Reason) before() bool {
	switch r {
	case NotHeld, NotWhole, Undecided, TooOld, JournalFull, Merging, Policy:
		return true
	}
	return false
}
