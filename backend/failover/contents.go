package failover

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/perdure/perdure"
)

// The marker also says since when what the front store holds is complete: it stands for
// as long as the store has its contents, with a mark of when it was made, of when each of
// the servers was first met, and of when a process last had a doubt. What was lost before
// the latest of them may still be held by a process that is cut off, stopped or not
// started yet, and given back when that returns.
const (
	sinceMark  = "since/"
	madeMark   = sinceMark + "made"
	doubtMark  = sinceMark + "doubt"
	serverMark = sinceMark + "server/"
)

// markerLife is how long the marker stands after it was written: longer than anybody lives
// in a store that nobody connects to.
const markerLife = perdure.Millis(unknownHorizon / 1e6)

// date has the marker say on which servers the contents of the front store lie, and, if
// they are in doubt, since when. A store that refuses the marker counts as young for as
// long as this process runs.
func (b *Backend) date(ctx context.Context, st *status, incarnation string, doubted bool) error {
	if _, ok := st.front.(Incarnated); ok && incarnation == "" && st.state != Healthy {
		doubted = true // it may be any server
	}
	err := b.remark(ctx, st.front, func(marks map[string]perdure.Version) (changed bool) {
		now := b.clock.Tick()
		now.Node = 0 // no lease
		if changed = marks[madeMark].IsZero(); changed {
			marks[madeMark] = now
		}
		if doubted {
			marks[doubtMark], changed = now, true
		}
		names := strings.Split(incarnation, ",")
		for _, name := range names {
			if name != "" && marks[serverMark+name].IsZero() {
				marks[serverMark+name], changed = now, true
			}
		}
		for name, mark := range marks {
			server, ok := strings.CutPrefix(name, serverMark)
			if ok && !slices.Contains(names, server) && now.Millis() > mark.Millis()+b.youth() {
				delete(marks, name)
			}
		}
		return changed
	})
	if err == nil || errors.Is(err, perdure.ErrUnavailable) && !errors.Is(err, perdure.ErrFull) {
		return err
	}
	b.since.Store(int64(b.now()))
	b.opts.Logger.Warn("the session store does not keep a mark of since when its contents are complete: logouts of ids that are not found leave tombstones", "error", err)
	return nil
}

// youth is for how long after a loss somebody may still bring what was lost.
func (b *Backend) youth() perdure.Millis {
	return perdure.Millis(b.opts.OutageIDAge.Milliseconds() + b.opts.MaxClockSkew.Milliseconds())
}

// noteMarks notes what the marks say of the contents.
func (b *Backend) noteMarks(marks map[string]perdure.Version) {
	var since int64
	for name, mark := range marks {
		if strings.HasPrefix(name, sinceMark) {
			since = max(since, int64(mark.Millis()))
		}
	}
	for {
		known := b.since.Load()
		if known >= since || b.since.CompareAndSwap(known, since) {
			return
		}
	}
}

// young reports whether somebody may still bring what the front store has lost, and until
// when that can be. One that has told nothing yet is young.
func (b *Backend) young() (until perdure.Millis, young bool) {
	now, since := b.now(), perdure.Millis(b.since.Load())
	if since == 0 {
		since = now
	}
	until = since + b.youth()
	return until, now < until
}
