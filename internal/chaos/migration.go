package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/redis"
	"github.com/perdure/perdure/migrate"
)

// migration is a process that keeps two stores in step, as perdure migrate run --live
// --reverse does, until it is told to cut over.
type migration struct {
	From       string `json:"from"`
	To         string `json:"to"`
	Checkpoint string `json:"checkpoint"`
	Plain      bool   `json:"plain,omitempty"` // one way, and no longer than that takes: migrate run
	Bug        string `json:"bug,omitempty"`
}

// plainRate is how many sessions a second a plain run moves: it takes a while.
const plainRate = 3000

// The bugs of negative controls.
const (
	overwriting = "it puts what it carries over whatever it meets"
	saysSo      = "it says that it is done, and has done nothing"
	unaware     = "it takes what answers at an address for what did before, and does not look"
	oneWay      = "it does not keep the source in step"
)

// serve runs it. It resumes what an earlier life has left.
func (m *migration) serve(ctx context.Context, in *json.Decoder, out *json.Encoder) error {
	if err := out.Encode(Reply{Kind: started}); err != nil {
		return err
	}
	gate := &toldGate{in: in, out: out}
	err := m.run(ctx, gate)
	p := Reply{Kind: CutOver, Outcome: Acknowledged}
	if err != nil {
		p = Reply{Kind: CutOver, Outcome: Refused, Error: err.Error()}
	}
	return out.Encode(p)
}

func (m *migration) run(ctx context.Context, gate *toldGate) error {
	if m.Bug == saysSo {
		return gate.Ready(ctx)
	}
	from, err := m.open(ctx, m.From)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := m.open(ctx, m.To)
	if err != nil {
		return err
	}
	defer to.Close()
	o := migrate.Options{Reading: migrate.Reading{Timeout: callTimeout, Patience: time.Minute}, Checkpoint: m.Checkpoint, Resume: true}
	if m.Plain {
		o.BatchSize, o.Rate = 10, plainRate
		o.SkipVerify = m.Bug == unaware
		_, err = migrate.Run(ctx, migrate.FromBackend(from), to, o)
		return err
	}
	o.Reverse = m.Bug != oneWay
	_, err = migrate.Live(ctx, from, to, gate, o)
	return err
}

// open waits for a store that is away.
func (m *migration) open(ctx context.Context, url string) (perdure.Backend, error) {
	for {
		b, err := redis.Open(ctx, redis.Options{URL: url, NearCacheBytes: -1})
		switch {
		case err == nil && m.Bug == overwriting:
			return ruthless{b}, nil
		case err == nil && m.Bug == unaware:
			return nameless{b}, nil
		case err == nil:
			return b, nil
		case !errors.Is(err, perdure.ErrUnavailable):
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// toldGate cuts over when its parent says so.
type toldGate struct {
	in  *json.Decoder
	out *json.Encoder
}

func (g *toldGate) Ready(ctx context.Context) error {
	if err := g.out.Encode(Reply{Kind: InStep}); err != nil {
		return err
	}
	told := make(chan error, 1)
	go func() {
		var q Request
		err := g.in.Decode(&q)
		if err == nil && q.Kind != CutOver {
			err = fmt.Errorf("chaos: a migration cannot %s", q.Kind)
		}
		told <- err
	}()
	select {
	case err := <-told:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (g *toldGate) Hold(context.Context) error { return nil }
func (g *toldGate) Release(bool)               {}

// ruthless has what is carried replace what is stored.
type ruthless struct{ perdure.Backend }

func (r ruthless) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	return putOver(ctx, r.Backend, batches, func(w *perdure.Write, met *perdure.Record) bool {
		return w.Record.Kind == perdure.KindSession && met.ID == w.Record.ID
	})
}

// putOver applies batches, and has those that conflict put over what they have met, if
// that is wanted.
func putOver(ctx context.Context, b perdure.Backend, batches []perdure.Batch, wanted func(w *perdure.Write, met *perdure.Record) bool) ([]perdure.Result, error) {
	results, err := b.Apply(ctx, batches)
	if err != nil {
		return results, err
	}
	for i := range results {
		w := batches[i][0]
		if results[i].Outcome != perdure.Conflict || !wanted(&w, &results[i].Stored) {
			continue
		}
		w.Base = results[i].Stored.Version
		again, err := b.Apply(ctx, []perdure.Batch{{w}})
		if err != nil {
			return nil, err
		}
		results[i] = again[0]
	}
	return results, nil
}

// nameless is always the same store, whatever it holds.
type nameless struct{ perdure.Backend }

func (n nameless) Incarnation(context.Context) (string, error) { return "the same", nil }

func (n nameless) Changes(ctx context.Context, after string, limit int, wait time.Duration) (perdure.ChangeBatch, error) {
	batch, err := n.Backend.Changes(ctx, after, limit, wait)
	if errors.Is(err, perdure.ErrFeedGap) {
		err = nil
	}
	return batch, err
}
