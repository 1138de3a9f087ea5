package simulation

import (
	"fmt"
	"strings"
)

// Story tells a history and what is wrong with it.
func Story(v *Verdict) string {
	var b strings.Builder
	for _, e := range v.Events {
		if !e.final || concerns(v, e) {
			fmt.Fprintln(&b, "  ", e)
		}
	}
	for _, x := range v.Violations[:min(len(v.Violations), 6)] {
		fmt.Fprintf(&b, "   ✗ %s: %s\n", x.Law, x.Text)
	}
	return b.String()
}

// concerns reports whether a violation is shown by the event.
func concerns(v *Verdict, e *Event) bool {
	for _, x := range v.Violations {
		if x.Event == e {
			return true
		}
	}
	return false
}
