package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/backend/redis"
	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
	"github.com/perdure/perdure/proto/perdure/v1/perdurev1connect"
	"github.com/perdure/perdure/server"
)

// callTimeout bounds a request: longer than it takes to notice that Redis hangs
// and to answer without it.
const callTimeout = 3 * time.Second

// settings are those of one process. What is not set is as perdure serve has it.
type settings struct {
	URL    string `json:"url"`
	Dir    string `json:"dir"`
	Log    string `json:"log"` // the file to append to
	Tuning `json:"tuning"`

	Migration *migration `json:"migration,omitempty"` // it is no service, but this

	now    func() time.Time
	wrap   func(front perdure.Backend) perdure.Backend
	plant  func(q Request, do func(Request) Reply) Reply
	notify func(state failover.State)
	follow func(f followed)
	bare   bool // no failover
}

// Tuning is what a cell sets that is about a setting.
type Tuning struct {
	Prefix          string          `json:"prefix,omitempty"`
	Mirror          failover.Mirror `json:"mirror,omitempty"`
	RecoveryRate    int             `json:"recoveryRate,omitempty"`
	MaxClockSkew    time.Duration   `json:"maxClockSkew,omitempty"`
	MaxAge          time.Duration   `json:"maxAge,omitempty"`
	MaxJournalBytes int64           `json:"maxJournalBytes,omitempty"`
	IdleTimeout     time.Duration   `json:"idleTimeout,omitempty"`
}

// service is one perdure process, as a client sees it.
type service struct {
	store    *perdure.Store
	failover *failover.Backend // nil where it is bare
	rpc      perdurev1connect.SessionServiceClient
	settings *settings
	log      *os.File

	stop    context.CancelFunc
	running sync.WaitGroup // the daemon and who watches
}

func openService(ctx context.Context, s settings) (*service, error) {
	log, err := os.OpenFile(s.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	v := &service{log: log, settings: &s}
	logger := slog.New(slog.NewTextHandler(log, nil))
	open := func(ctx context.Context) (perdure.Backend, error) {
		front, err := redis.Open(ctx, redis.Options{URL: s.URL, Prefix: s.Prefix, TimeoutAll: true, MaxClockSkew: s.MaxClockSkew, Logger: logger})
		if err != nil {
			return nil, err
		}
		if s.wrap != nil {
			return s.wrap(front), nil
		}
		return front, nil
	}
	var backend perdure.Backend
	if s.bare {
		backend, err = open(ctx)
	} else {
		var store string
		if store, err = redis.StoreName(s.URL, s.Prefix); err != nil { // as perdure serve names it
			return nil, errors.Join(err, v.log.Close())
		}
		v.failover, err = failover.Open(ctx, failover.Options{
			Open: open, Dir: s.Dir, Store: store, Mirror: s.Mirror, RecoveryRate: s.RecoveryRate, Now: s.now, Logger: logger,
			MaxAge: s.MaxAge, MaxJournalBytes: s.MaxJournalBytes,
			Notify: func(t failover.Transition) { s.notify(t.To) },
		})
		backend = v.failover
	}
	if err != nil {
		return nil, errors.Join(err, v.log.Close())
	}
	if v.store, err = perdure.New(backend, perdure.Options{Now: s.now, IdleTimeout: s.IdleTimeout}); err != nil {
		return nil, errors.Join(err, v.log.Close())
	}
	return v, v.serve(ctx)
}

// serve begins to answer by RPC, and to watch.
func (v *service) serve(ctx context.Context) error {
	listener, err := server.Listen(ctx, "127.0.0.1:0")
	if err != nil {
		return err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	v.stop = stop
	v.rpc = perdurev1connect.NewSessionServiceClient(http.DefaultClient, "http://"+listener.Addr().String())
	v.running.Go(func() { _ = server.New(v.store, server.Options{Drain: -1}).Serve(life, listener) })
	if v.settings.follow != nil {
		v.running.Go(func() { v.watch(life) })
	}
	return nil
}

// watch follows the changes from now on, over outages.
func (v *service) watch(ctx context.Context) {
	cursor := perdure.FromNow
	for ctx.Err() == nil {
		for batch, err := range v.store.Watch(ctx, cursor) {
			gap := errors.Is(err, perdure.ErrFeedGap)
			if err != nil && !gap {
				break
			}
			v.settings.follow(followed{Began: cursor == perdure.FromNow, Gap: gap, Changes: batch.Changes})
			cursor = batch.Next
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func (v *service) close() error {
	v.stop()
	v.running.Wait()
	return errors.Join(v.store.Close(), v.log.Close())
}

// do carries out a request, or what a planted bug makes of it.
func (v *service) do(ctx context.Context, q Request) Reply {
	if plant := v.settings.plant; plant != nil {
		return plant(q, func(q Request) Reply { return v.carryOut(ctx, q) })
	}
	return v.carryOut(ctx, q)
}

func (v *service) carryOut(ctx context.Context, q Request) Reply {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	p := Reply{Number: q.Number, Kind: q.Kind}
	p.conclude(v.ask(ctx, q, &p))
	return p
}

// ask asks the store.
func (v *service) ask(ctx context.Context, q Request, p *Reply) (err error) {
	var session perdure.Session
	switch q.Kind {
	case Create:
		session, err = v.store.Create(ctx, perdure.Data{UserID: q.User, TTL: q.TTL, Metadata: map[string]any{}})
		p.Live = err == nil
		p.ID, p.Expiry = session.ID, session.ExpiresAt
	case Read:
		session, err = v.store.Get(ctx, q.ID)
		err = p.describe(session, err)
	case Validate:
		var reply *perdurev1.ValidateSessionResponse
		reply, err = v.rpc.ValidateSession(ctx, &perdurev1.ValidateSessionRequest{Id: q.ID})
		p.Live = reply.GetValid()
	case List:
		var list []perdure.Session
		list, err = v.store.GetByUserID(ctx, q.User)
		for i := range list {
			p.IDs = append(p.IDs, list[i].ID)
		}
	case Sweep:
		_, err = v.store.DeleteExpired(ctx)
	case Expire:
		session, err = v.store.Update(ctx, q.ID, perdure.Patch{ExpiresAt: v.now().Add(q.TTL)})
		p.Live, p.Expiry = err == nil, session.ExpiresAt
	case Touch:
		p.Live, err = v.store.Touch(ctx, q.ID)
	case Update:
		_, err = v.store.Update(ctx, q.ID, perdure.Patch{Metadata: map[string]any{q.Key: q.Value}})
		p.Live = err == nil
	case Rotate:
		session, err = v.store.Rotate(ctx, q.ID, 0)
		p.Live = err == nil
		p.ID, p.Expiry = session.ID, session.ExpiresAt
	case Delete:
		p.Live, err = v.store.Delete(ctx, q.ID)
	case Revoke:
		_, err = v.store.RevokeUser(ctx, q.User)
	case Health:
		if v.failover == nil {
			p.State = string(failover.Healthy)
			break
		}
		h := v.failover.Health(ctx)
		p.State, p.Pending, p.Refused = string(h.State), h.JournalDepth, h.Refused
	case Limit:
		err = limitFiles(uint64(q.Value))
	}
	return err
}

// now is the process's own clock.
func (v *service) now() time.Time {
	if v.settings.now == nil {
		return time.Now()
	}
	return v.settings.now()
}

func (p *Reply) describe(session perdure.Session, err error) error {
	if err != nil {
		return err
	}
	p.Live, p.ID, p.Expiry, p.Version = true, session.ID, session.ExpiresAt, session.Version.Millis()
	text, err := session.Metadata.MarshalJSON()
	if err != nil {
		return err
	}
	return json.Unmarshal(text, &p.Metadata)
}

// conclude says how it ended. That a session is not found is an answer.
func (p *Reply) conclude(err error) {
	switch {
	case err == nil, errors.Is(err, perdure.ErrNotFound):
		p.Outcome = Acknowledged
		return
	case errors.Is(err, perdure.ErrInvalid), errors.Is(err, perdure.ErrConflict), errors.Is(err, perdure.ErrSkew), errors.Is(err, perdure.ErrExists):
		p.Outcome = Refused
	default:
		p.Outcome, p.Why = Unknown, classify(err)
		if p.Kind.reads() || p.Why.before() {
			p.Outcome = Unavailable
		}
	}
	p.Error = err.Error()
}
