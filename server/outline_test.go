package server

import (
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/backend/failover"
)

// TestOutline: what an operator is to know is on the line, and marked if it is not well.
func TestOutline(t *testing.T) {
	well := failover.Health{State: failover.Healthy, JournalDurable: true}
	for name, c := range map[string]struct {
		change func(*failover.Health)
		mark   string
		says   string
	}{
		"well":        {func(*failover.Health) {}, "[+]", "redis healthy"},
		"one record":  {func(h *failover.Health) { h.JournalDepth = 1; h.JournalOldest = 6000 }, "[+]", "journal: 1 record waits, for 6s"},
		"two records": {func(h *failover.Health) { h.JournalDepth = 2; h.JournalOldest = 6000 }, "[+]", "journal: 2 records wait, the first for 6s"},
		"no journal":  {func(h *failover.Health) { h.JournalDurable, h.JournalError = false, "no room" }, "[!]", "the journal takes no writes"},
		"lists wait":  {func(h *failover.Health) { h.Waiting = "lists wait" }, "[!]", "lists wait"},
		"held back":   {func(h *failover.Health) { h.State, h.HeldBack = failover.Degraded, 3 }, "[!]", "3 sessions that were kept are held back until redis is back (PERDURE_OUTAGE_MAX_DOWNTIME)"},
		"one kept":    {func(h *failover.Health) { h.Kept = make([]failover.KeptJournal, 1) }, "[!]", "1 journal in the data directory is kept aside: see journalsKept in /healthz"},
		"given back":  {func(h *failover.Health) { h.Lost = 1 }, "[+]", "1 record that redis had lost was given back so far"},
	} {
		h := well
		h.Since = time.Unix(0, 0)
		c.change(&h)
		if line := outline(h); !strings.HasPrefix(line, c.mark) || !strings.Contains(line, c.says) {
			t.Errorf("%s: %q", name, line)
		}
	}
}
