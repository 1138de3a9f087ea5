package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alexedwards/scs/goredisstore"
	"github.com/alexedwards/scs/v2"
	goredis "github.com/redis/go-redis/v9"
	"github.com/redis/rueidis"
)

// Each side has a database of its own on the one server, so that none grows by
// what another writes.
const (
	databasePerdure = iota
	databaseSCS
	databaseGoRedis
	databaseRueidis
)

// peers are the clients that perdure is measured beside.
type peers struct {
	options    options
	population population
	made       int // tokens used so far, and so the number of the next

	scsClient *goredis.Client
	scs       scs.CtxStore
	manager   *scs.SessionManager
	goredis   *goredis.Client
	rueidis   rueidis.Client
}

func (p *peers) open(ctx context.Context, addr string, population population) (err error) {
	client := func(database int) *goredis.Client {
		// A connection for each caller: go-redis does best with that here.
		return goredis.NewClient(&goredis.Options{Addr: addr, DB: database, PoolSize: p.options.goroutines})
	}
	p.population = population
	p.scsClient, p.goredis = client(databaseSCS), client(databaseGoRedis)
	store := goredisstore.New(p.scsClient)
	p.scs, p.manager = store, scs.New()
	p.manager.Store = store
	p.rueidis, err = rueidis.NewClient(rueidis.ClientOption{
		InitAddress: []string{addr}, SelectDB: databaseRueidis, DisableCache: true, ForceSingleClient: true,
	})
	if err != nil {
		return err
	}
	return p.fill(ctx)
}

func (p *peers) close() error {
	var errs []error
	if p.rueidis != nil {
		p.rueidis.Close()
	}
	for _, client := range []*goredis.Client{p.scsClient, p.goredis} {
		if client != nil {
			errs = append(errs, client.Close())
		}
	}
	return errors.Join(errs...)
}

// fill stores a value under each of the first tokens with each client.
func (p *peers) fill(ctx context.Context) error {
	p.made = p.options.sessions
	return forEach(ctx, p.options.goroutines, p.made, func(ctx context.Context, i int) error {
		return errors.Join(p.commitAs(ctx, token(i)), p.goredisSetAs(ctx, token(i)), p.rueidisSetAs(ctx, token(i)))
	})
}

// known is a token that fill has used, at random.
func (p *peers) known(w *worker) string { return token(w.rng.IntN(p.options.sessions)) }

func (p *peers) findAs(ctx context.Context, token string) error {
	value, found, err := p.scs.FindCtx(ctx, token)
	if err == nil && !found {
		err = fmt.Errorf("%w: no value", errWrong)
	}
	return p.population.checkValue(len(value), err)
}

// loadAs is what an application pays whose session scs loads.
func (p *peers) loadAs(ctx context.Context, token string) error {
	ctx, err := p.manager.Load(ctx, token)
	if err == nil && p.manager.GetString(ctx, "username") != username {
		err = fmt.Errorf("%w: no user name", errWrong)
	}
	return err
}

func (p *peers) commitAs(ctx context.Context, token string) error {
	return p.scs.CommitCtx(ctx, token, p.population.value, time.Now().Add(lifetime))
}

func (p *peers) goredisGetAs(ctx context.Context, token string) error {
	value, err := p.goredis.Get(ctx, token).Bytes()
	return p.population.checkValue(len(value), err)
}

func (p *peers) goredisSetAs(ctx context.Context, token string) error {
	return p.goredis.Set(ctx, token, p.population.value, lifetime).Err()
}

func (p *peers) rueidisGetAs(ctx context.Context, token string) error {
	value, err := p.rueidis.Do(ctx, p.rueidis.B().Get().Key(token).Build()).ToString()
	return p.population.checkValue(len(value), err)
}

func (p *peers) rueidisSetAs(ctx context.Context, token string) error {
	set := p.rueidis.B().Set().Key(token).Value(rueidis.BinaryString(p.population.value)).Ex(lifetime).Build()
	return p.rueidis.Do(ctx, set).Error()
}
