package failover

import (
	"context"
	"time"

	"github.com/perdure/perdure"
)

// recoveryStep is how many records are merged at a time: Redis serves nobody else
// while it takes them, a millisecond or two. Fewer cost it more each.
const recoveryStep = 64

// pace spreads merges over time. After each step it rests half as long as the server
// needs for one, which the quickest so far has shown: what a step takes beyond that,
// others have the server.
type pace struct {
	perSecond int
	free      time.Time     // when the rate allows the next step
	quickest  time.Duration // of a record
}

func newPace(perSecond int) *pace { return &pace{perSecond: perSecond} }

// rest returns when the step may follow that comes after one of n records: at once
// without a pace.
func (p *pace) rest(ctx context.Context, began, ended time.Time, n int) error {
	if p == nil {
		return ctx.Err()
	}
	if p.free.Before(began) {
		p.free = began // what was not used is not made up for
	}
	p.free = p.free.Add(time.Duration(n) * time.Second / time.Duration(p.perSecond))
	if took := ended.Sub(began) / time.Duration(max(n, 1)); p.quickest == 0 || took < p.quickest {
		p.quickest = took
	}
	rested := ended.Add(time.Duration(n) * p.quickest / 2)
	wait := max(time.Until(p.free), time.Until(rested))
	if wait <= 0 {
		return ctx.Err()
	}
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// mergeAll merges records into the front store, step by step at the pace, and shows
// what became of each step. It ends with the first step in which the front store
// failed.
func (b *Backend) mergeAll(ctx context.Context, front perdure.Backend, records []perdure.Record, pace *pace, show func(records []perdure.Record, merged []perdure.Merged) error) error {
	for len(records) > 0 {
		step := records[:min(len(records), recoveryStep)]
		records = records[len(step):]
		began := time.Now()
		merged := b.merge(ctx, front, step...)
		ended := time.Now()
		err := show(step, merged)
		for i := range merged {
			if failed := merged[i].Err; failed != nil && !refusal(failed) {
				err = failed
			}
		}
		if err != nil {
			return err
		}
		if err := pace.rest(ctx, began, ended, len(step)); err != nil {
			return err
		}
	}
	return nil
}
