package main

import "context"

func (p *peers) find(target float64) side { return p.onKnown("scs Find", target, p.findAs) }

func (p *peers) load() side { return p.onKnown("scs Find + decode", 0, p.loadAs) }

func (p *peers) commit(target float64) side { return p.onKnown("scs Commit", target, p.commitAs) }

func (p *peers) goredisGet() side { return p.onKnown("go-redis GET", 0, p.goredisGetAs) }

func (p *peers) goredisSet() side { return p.onKnown("go-redis SET", 0, p.goredisSetAs) }

func (p *peers) rueidisGet(target float64) side {
	return p.onKnown("rueidis GET", target, p.rueidisGetAs)
}

func (p *peers) rueidisSet() side { return p.onKnown("rueidis SET", 0, p.rueidisSetAs) }

// onKnown does something with stored sessions at random.
func (p *peers) onKnown(name string, target float64, do func(ctx context.Context, token string) error) side {
	return side{name: name, target: target, start: always(func(ctx context.Context, w *worker) error {
		return do(ctx, p.known(w))
	})}
}

// findFour is what an application does with scs that keeps the tokens of its
// users by itself.
func (p *peers) findFour(target float64) side {
	return side{name: "4 scs Finds", target: target, start: always(func(ctx context.Context, w *worker) error {
		for range sessionsPerUser {
			if err := p.findAs(ctx, p.known(w)); err != nil {
				return err
			}
		}
		return nil
	})}
}

// commitNew stores sessions that are not there yet.
func (p *peers) commitNew(target float64) side {
	return side{name: "scs Commit", target: target, start: func(context.Context) (operation, error) {
		const most = 1_000_000 // that a worker can store in a cell
		first := p.made
		p.made += most * p.options.goroutines
		return func(ctx context.Context, w *worker) error {
			return p.commitAs(ctx, token(first+w.index*most+w.count))
		}, nil
	}}
}

// renew does by scs what a rotation does: the same session under a new token.
func (p *peers) renew() side {
	return p.consuming("scs Commit + Delete", func(ctx context.Context, number int) error {
		if err := p.commitAs(ctx, token(number+p.options.uses())); err != nil {
			return err
		}
		return p.scs.DeleteCtx(ctx, token(number))
	})
}

func (p *peers) destroy() side {
	return p.consuming("scs Delete", func(ctx context.Context, number int) error {
		return p.scs.DeleteCtx(ctx, token(number))
	})
}

// consuming uses sessions up: each cell has new ones, and room for as many
// tokens again.
func (p *peers) consuming(name string, do func(ctx context.Context, number int) error) side {
	return side{name: name, limit: p.options.uses(), start: func(ctx context.Context) (operation, error) {
		first := p.made
		p.made += 2 * p.options.uses()
		err := forEach(ctx, p.options.goroutines, p.options.uses(), func(ctx context.Context, i int) error {
			return p.commitAs(ctx, token(first+i))
		})
		return func(ctx context.Context, w *worker) error {
			return do(ctx, first+w.index+w.count*p.options.goroutines)
		}, err
	}}
}
