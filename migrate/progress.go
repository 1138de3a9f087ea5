package migrate

import (
	"context"
	"sync"
	"time"
)

// Phase is what a run is at.
type Phase string

const (
	PhaseBackfill Phase = "backfill" // what was there at the start
	PhaseCatchUp  Phase = "catch-up" // what has changed since
	PhaseVerify   Phase = "verify"   // comparing the two stores
	PhaseInStep   Phase = "in step"  // following the source until the cut-over
)

// Progress is how far a run is.
type Progress struct {
	Phase Phase
	// Result is what became of the sessions so far.
	Result Result
	// Done and Expected are sessions of this phase; Expected is about how many
	// there will be, and 0 where nobody knows.
	Done, Expected int64
	// Elapsed is the time since the phase began, in this process.
	Elapsed time.Duration
	// Waiting is why the run stands still, where a store is unavailable.
	Waiting error
}

// Rate is in sessions a second.
func (p Progress) Rate() float64 {
	if p.Elapsed <= 0 {
		return 0
	}
	return float64(p.Done) / p.Elapsed.Seconds()
}

// Left is about how long this phase still takes; 0 where nobody knows.
func (p Progress) Left() time.Duration {
	if p.Done == 0 || p.Expected <= p.Done {
		return 0
	}
	return time.Duration(float64(p.Elapsed) / float64(p.Done) * float64(p.Expected-p.Done))
}

// reporter tells how far a run is. It is safe for concurrent use.
type reporter struct {
	tell   func(Progress)
	result func() Result

	mu    sync.Mutex
	now   Progress
	began time.Time

	stop context.CancelFunc
	done chan struct{}
}

// report begins to tell, until end.
func (r *Reading) report(result func() Result) *reporter {
	p := &reporter{tell: r.Progress, result: result, done: make(chan struct{})}
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	if p.tell == nil {
		close(p.done)
		return p
	}
	go func() {
		defer close(p.done)
		ticker := time.NewTicker(r.ProgressInterval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				p.tell(p.snapshot())
			case <-ctx.Done():
				p.tell(p.snapshot())
				return
			}
		}
	}()
	return p
}

// end tells once more, for the last time.
func (p *reporter) end() {
	p.stop()
	<-p.done
}

func (p *reporter) phase(phase Phase, expected int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = Progress{Phase: phase, Expected: expected}
	p.began = time.Now()
}

// at is the phase that it is in.
func (p *reporter) at() Phase {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now.Phase
}

func (p *reporter) add(sessions int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Done += int64(sessions)
}

func (p *reporter) waiting(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now.Waiting = err
}

func (p *reporter) snapshot() Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now
	if now.Phase != "" {
		now.Elapsed = time.Since(p.began)
	}
	now.Result = p.result()
	return now
}
