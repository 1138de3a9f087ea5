package failover

import (
	"fmt"
	"time"
)

// baseline is what was counted when an outage began.
type baseline struct {
	began        time.Time
	merged, lost int64
}

// told is what there is to tell of an outage at its end.
func (b *Backend) told(o baseline) string {
	text := "nothing was written in the outage"
	if n := b.metrics.replayed.Load() - o.merged; n > 0 {
		text = "all that was written in the outage is merged: " + count(n, "record")
	}
	if n := b.metrics.lost.Load() - o.lost; n > 0 {
		text += fmt.Sprintf("; %s that the session store had lost given back", count(n, "record"))
	}
	return text
}

// tellFound says what a start has found of an outage before it.
func (b *Backend) tellFound() {
	records, _ := b.journal.depth()
	if records == 0 {
		return
	}
	b.opts.Logger.Warn("the journal has what was written in an outage before this start, and it is merged when the session store is reached",
		"records", records, "waited", b.journal.age().Round(time.Second).String(), "heldBack", b.journal.stale.len())
}
