package backendtest

import (
	"fmt"
	"strings"

	"github.com/perdure/perdure"
)

func showOutcome(o perdure.Outcome) string {
	switch o {
	case perdure.Applied:
		return "Applied"
	case perdure.Absent:
		return "Absent"
	case perdure.Conflict:
		return "Conflict"
	}
	return fmt.Sprintf("outcome %d", o)
}

func showResult(r perdure.Result) string {
	return fmt.Sprintf("%s, write %d, stored %s, error %v", showOutcome(r.Outcome), r.Write, show(r.Stored), r.Err)
}

// show is a record on one line; a long body is cut.
func show(r perdure.Record) string {
	if !r.Exists() {
		return "nothing"
	}
	kind := [...]string{"", "session", "tombstone", "epoch"}[min(r.Kind, perdure.KindEpoch)]
	s := fmt.Sprintf("%s %s{version %s born %s expiry %d horizon %d access %d idle %d promised %d user %s", kind, r.ID,
		r.Version, r.Born, r.Expiry, r.Horizon, r.LastAccess, r.Idle, r.Promised, r.User)
	if r.Reason != 0 {
		s += " reason " + r.Reason.String()
	}
	if !r.ExpirySet.IsZero() {
		s += " expiry set " + r.ExpirySet.String()
	}
	if r.Parent != "" {
		s += " parent " + r.Parent
	}
	if len(r.Body) > 40 {
		return fmt.Sprintf("%s body %q… of %d bytes}", s, r.Body[:40], len(r.Body))
	}
	return fmt.Sprintf("%s body %q}", s, r.Body)
}

// diff shows two records one below the other.
func diff(got, want perdure.Record) string {
	note := ""
	if len(got.Body) > 40 && got.Body != want.Body {
		note = "\nthe bodies differ"
	}
	return "  got  " + show(got) + "\n  want " + show(want) + note
}

func showWrite(w perdure.Write) string {
	switch w.Op {
	case perdure.OpPut:
		return fmt.Sprintf("put %s based on %q, epoch %q", show(w.Record), w.Base, w.Epoch)
	case perdure.OpTouch:
		return fmt.Sprintf("touch %s at %d", w.Record.ID, w.Record.LastAccess)
	case perdure.OpRemove:
		return fmt.Sprintf("remove %s at %s, %s, plant %v", w.Record.ID, w.Record.Version, w.Record.Reason, w.Plant)
	}
	return fmt.Sprintf("op %d", w.Op)
}

func showBatch(b perdure.Batch) string {
	writes := make([]string, len(b))
	for i, w := range b {
		writes[i] = showWrite(w)
	}
	return strings.Join(writes, " + ")
}

func showChange(c perdure.Change) string {
	s := fmt.Sprintf("%s %s version %s user %s", c.Kind, c.ID, c.Version, c.User)
	if c.Reason != 0 {
		s += " reason " + c.Reason.String()
	}
	return s
}

func showChanges(changes []perdure.Change) string {
	lines := make([]string, len(changes))
	for i, c := range changes {
		lines[i] = "  " + showChange(c)
	}
	return strings.Join(lines, "\n")
}
