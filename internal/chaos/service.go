package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/backend/redis"
)

// callTimeout bounds a request: longer than it takes to notice that Redis hangs
// and to answer without it.
const callTimeout = 3 * time.Second

// settings are those of one process.
type settings struct {
	URL          string          `json:"url"`
	Dir          string          `json:"dir"`
	Mirror       failover.Mirror `json:"mirror"`
	RecoveryRate int             `json:"recoveryRate,omitempty"`
	MaxClockSkew time.Duration   `json:"maxClockSkew,omitempty"`
	Log          string          `json:"log"` // the file to append to

	now    func() time.Time
	wrap   func(front perdure.Backend) perdure.Backend
	notify func(state failover.State)
	bare   bool // no failover
}

// service is one perdure process, as a client sees it.
type service struct {
	store    *perdure.Store
	failover *failover.Backend // nil where it is bare
	log      *os.File
}

func openService(ctx context.Context, s settings) (*service, error) {
	log, err := os.OpenFile(s.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	v := &service{log: log}
	logger := slog.New(slog.NewTextHandler(log, nil))
	open := func(ctx context.Context) (perdure.Backend, error) {
		front, err := redis.Open(ctx, redis.Options{URL: s.URL, Timeout: 700 * time.Millisecond, TimeoutAll: true, MaxClockSkew: s.MaxClockSkew, Logger: logger})
		if err != nil {
			return nil, err
		}
		if s.wrap != nil {
			return s.wrap(front), nil
		}
		return front, nil
	}
	if s.bare {
		front, err := open(ctx)
		if err != nil {
			return nil, errors.Join(err, v.log.Close())
		}
		v.store, err = perdure.New(front, perdure.Options{Now: s.now, SweepInterval: time.Second})
		return v, err
	}
	v.failover, err = failover.Open(ctx, failover.Options{
		Open: open, Dir: s.Dir, Mirror: s.Mirror, RecoveryRate: s.RecoveryRate, Now: s.now, Logger: logger,
		RetryDelay: 200 * time.Millisecond, HealthCheckInterval: time.Second,
		Notify: func(t failover.Transition) { s.notify(t.To) },
	})
	if err != nil {
		return nil, errors.Join(err, v.log.Close())
	}
	v.store, err = perdure.New(v.failover, perdure.Options{Now: s.now, SweepInterval: time.Second})
	return v, err
}

func (v *service) close() error {
	return errors.Join(v.store.Close(), v.log.Close())
}

// do carries out a request.
func (v *service) do(ctx context.Context, q Request) Reply {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	p := Reply{Number: q.Number, Kind: q.Kind}
	var err error
	switch q.Kind {
	case Create:
		var session perdure.Session
		session, err = v.store.Create(ctx, perdure.Data{UserID: q.User, TTL: q.TTL, Metadata: map[string]any{}})
		p.Live = err == nil
		p.ID, p.Expiry = session.ID, session.ExpiresAt
	case Read:
		var session perdure.Session
		session, err = v.store.Get(ctx, q.ID)
		err = p.describe(session, err)
	case Touch:
		p.Live, err = v.store.Touch(ctx, q.ID)
	case Update:
		_, err = v.store.Update(ctx, q.ID, perdure.Patch{Metadata: map[string]any{q.Key: q.Value}})
		p.Live = err == nil
	case Rotate:
		var session perdure.Session
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
	p.conclude(err)
	return p
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
		p.Outcome = Unknown
	}
	p.Error = err.Error()
}
