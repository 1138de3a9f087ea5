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
	Bug        string `json:"bug,omitempty"`
}

// The bugs of negative controls.
const (
	overwriting = "it puts what it carries over whatever it meets"
	saysSo      = "it says that it is done, and has done nothing"
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
	_, err = migrate.Live(ctx, from, to, gate, migrate.Options{
		Reading: migrate.Reading{Timeout: callTimeout, Patience: time.Minute}, Checkpoint: m.Checkpoint, Resume: true, Reverse: m.Bug != oneWay,
	})
	return err
}

// open waits for a store that is away.
func (m *migration) open(ctx context.Context, url string) (perdure.Backend, error) {
	for {
		b, err := redis.Open(ctx, redis.Options{URL: url, NearCacheBytes: -1})
		switch {
		case err == nil && m.Bug == overwriting:
			return ruthless{b}, nil
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
	results, err := r.Backend.Apply(ctx, batches)
	if err != nil {
		return results, err
	}
	for i := range results {
		w := batches[i][0]
		if results[i].Outcome != perdure.Conflict || w.Record.Kind != perdure.KindSession || results[i].Stored.ID != w.Record.ID {
			continue
		}
		w.Base = results[i].Stored.Version
		again, err := r.Backend.Apply(ctx, []perdure.Batch{{w}})
		if err != nil {
			return nil, err
		}
		results[i] = again[0]
	}
	return results, nil
}
