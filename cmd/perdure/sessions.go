package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/redis"
	"github.com/perdure/perdure/factory"
)

// sessions is what get, list and revoke ask: a store, or a running daemon.
type sessions interface {
	// get returns a live session, or not found.
	get(ctx context.Context, id string) (session, error)
	// list returns a page of all sessions, or of those of one user; of what is there
	// where partial allows that.
	list(ctx context.Context, user, token string, partial bool) (listed, error)
	// revoke ends a session and reports whether it was live.
	revoke(ctx context.Context, id string) (bool, error)
	// revokeUser ends the sessions of a user but for some, and counts them.
	revokeUser(ctx context.Context, user string, except []string) (int, error)
	close() error
}

// listed is a page of sessions.
type listed struct {
	sessions   []session
	unreadable []string // ids of those that are stored and cannot be read
	next       string   // the token of the next page; empty at the end
	incomplete bool     // sessions may be missing
}

// session is a session as the verbs print it; its JSON is a contract.
type session struct {
	ID             string          `json:"id"`
	UserID         string          `json:"userId"`
	Username       string          `json:"username"`
	Roles          []string        `json:"roles"`
	Metadata       json.RawMessage `json:"metadata"`
	CreatedAt      time.Time       `json:"createdAt"`
	ExpiresAt      time.Time       `json:"expiresAt"`
	LastAccessedAt time.Time       `json:"lastAccessedAt"`
	Version        string          `json:"version"`
}

// withSessions is the body of a verb that works on a store or a daemon.
func (a *app) withSessions(do func(context.Context, sessions, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) (err error) {
		s, err := a.openSessions(c, args)
		if err != nil {
			return err
		}
		defer func() {
			if closing := s.close(); err == nil {
				err = closing
			}
		}()
		return a.hinted(c, args, do(c.Context(), s, args))
	}
}

// hinted adds to an error of a call of Redis who may still answer, or of a list of a
// daemon what it may still show.
func (a *app) hinted(c *cobra.Command, args []string, err error) error {
	if !errors.Is(err, perdure.ErrUnavailable) && connect.CodeOf(err) != connect.CodeUnavailable || err == nil {
		return err
	}
	if partial := c.Flags().Lookup("allow-incomplete"); factory.IsDaemon(a.address) && partial != nil && !partial.Changed {
		return fmt.Errorf("%w\nin an outage a daemon may not hold all sessions: --allow-incomplete lists those that it holds", err)
	}
	config, _, bad := a.config()
	if bad != nil || a.address != "" {
		return err
	}
	if address, bad := config.Address(); bad == nil && factory.IsRedis(address) {
		return a.fallsOver(c, args, err, config)
	}
	return err
}

// fallsOver adds which daemon may still answer: at its port of sessions, or where the
// verb is of the whole store at its admin port.
func (a *app) fallsOver(c *cobra.Command, args []string, err error, config factory.Config) error {
	at := config.Listen
	if !slices.Contains([]string{"get", "list", "revoke"}, c.Name()) {
		if at = config.AdminListen; at == factory.AdminNone {
			return err
		}
	}
	return fmt.Errorf("%w\na daemon that fails over may still answer: %s", err, askDaemon(c, args, at))
}

func (a *app) openSessions(c *cobra.Command, args []string) (sessions, error) {
	if factory.IsDaemon(a.address) {
		if i, err := a.openStore(c, false); err == nil {
			return store{i}, nil // it is the admin port
		}
		return newDaemon(a.address)
	}
	i, err := a.openStore(c, false)
	if err != nil {
		config, _, bad := a.config()
		switch held := a.held(err); {
		case bad != nil:
		case held && errors.Is(err, factory.ErrOtherDaemon): // which also has the port of sessions
			err = heldBy(err)
		case held:
			err = fmt.Errorf("%w\nif a daemon holds it, ask the daemon: %s", err, askDaemon(c, args, config.Listen))
		case a.address == "" && errors.Is(err, perdure.ErrUnavailable):
			err = a.fallsOver(c, args, err, config)
		}
		return nil, err
	}
	return store{i}, nil
}

// store is sessions over a store that this process opened itself.
type store struct{ *factory.Instance }

func (s store) close() error { return s.Close() }

func (s store) get(ctx context.Context, id string) (session, error) {
	found, err := s.Get(ctx, id)
	if err != nil {
		return session{}, s.unreadable(id, err)
	}
	return fromStore(found)
}

func (s store) list(ctx context.Context, user, token string, partial bool) (listed, error) {
	found, err := s.List(ctx, perdure.ListQuery{UserID: user, PageSize: listPage, PageToken: token, AllowIncomplete: partial})
	if err != nil {
		return listed{}, err
	}
	page := listed{unreadable: found.Unreadable, next: found.NextPageToken, incomplete: found.Incomplete}
	for _, f := range found.Sessions {
		one, err := fromStore(f)
		if err != nil || !json.Valid(one.Metadata) {
			page.unreadable = append(page.unreadable, f.ID)
			continue
		}
		page.sessions = append(page.sessions, one)
	}
	return page, nil
}

func (s store) revoke(ctx context.Context, id string) (bool, error) {
	ended, err := s.Revoke(ctx, id)
	return ended, s.unreadable(id, err)
}

// unreadable says how to be rid of a record that cannot be read.
func (s store) unreadable(id string, err error) error {
	if !errors.Is(err, perdure.ErrFormat) {
		return err
	}
	err = fmt.Errorf("%w\nif it is of a later release, use that; if it is damaged, nobody can log in with it, and it goes by itself when its time is over", err)
	if b, ok := perdure.As[*redis.Backend](s.Backend()); ok {
		err = fmt.Errorf("%w; to be rid of it now: redis-cli DEL %s", err, quote(b.RecordKey(id)))
	}
	return err
}

func (s store) revokeUser(ctx context.Context, user string, except []string) (int, error) {
	return s.RevokeUser(ctx, user, except...)
}

func fromStore(s perdure.Session) (session, error) {
	metadata, err := s.Metadata.MarshalJSON()
	return session{
		ID: s.ID, UserID: s.UserID, Username: s.Username, Roles: s.Roles, Metadata: metadata,
		CreatedAt: s.CreatedAt, ExpiresAt: s.ExpiresAt, LastAccessedAt: s.LastAccessedAt, Version: s.Version.String(),
	}, err
}
