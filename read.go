package perdure

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Get returns a live session. It costs one round trip, or none where the backend
// has a near cache. It returns ErrNotFound for one that is not live, a *RotatedError
// for one that lives on under another id.
func (s *Store) Get(ctx context.Context, id string) (Session, error) {
	call := s.call(ActionGet, Target{SessionID: id})
	session, err := s.get(ctx, ActionGet, id)
	call.event.UserID = session.UserID
	return session, call.end(ctx, err)
}

func (s *Store) get(ctx context.Context, action Action, id string) (Session, error) {
	r, err := s.live(ctx, id)
	if err != nil {
		return Session{}, err
	}
	session, err := s.open(&r)
	if err != nil {
		return Session{}, err
	}
	if err := s.allow(ctx, action, Target{SessionID: id, UserID: session.UserID}); err != nil {
		return Session{}, err
	}
	return session, nil
}

// Exists reports whether the session is live.
func (s *Store) Exists(ctx context.Context, id string) (bool, error) {
	call := s.call(ActionExists, Target{SessionID: id})
	_, err := s.get(ctx, ActionExists, id)
	return found(call.end(ctx, err))
}

// GetMany returns those of the sessions that are live, in the order of ids and
// each once, and the ids of those that are not: one round trip. Where some cannot
// be read it returns the others, and an *UnreadableError with the ids of those. Where
// some cannot be answered, as in an outage, it returns the others, and an
// *UnansweredError that names those: they are neither live nor missing.
func (s *Store) GetMany(ctx context.Context, ids []string) (sessions []Session, missing []string, err error) {
	call := s.call(ActionGet, Target{})
	sessions, missing, err = s.getMany(ctx, ids)
	call.event.Count = len(sessions)
	return sessions, missing, call.end(ctx, err)
}

func (s *Store) getMany(ctx context.Context, ids []string) (sessions []Session, missing []string, err error) {
	asked := make([]string, 0, len(ids))
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		switch {
		case seen[id]:
		case CheckID(id) != nil:
			missing = append(missing, id)
		default:
			asked = append(asked, id)
		}
		seen[id] = true
	}
	records, err := s.backend.Load(ctx, asked)
	unanswered, stored, err := AsUnanswered(err)
	if err != nil {
		return nil, nil, err
	}
	var bad UnreadableError
	if stored != nil {
		bad = *stored
	}
	unreadable, unknown := bad.Set(), unanswered.Set()
	now := s.clock.Now()
	for i, r := range records {
		if !r.Live(now) {
			if !unreadable[asked[i]] && !unknown[asked[i]] {
				missing = append(missing, asked[i])
			}
			continue
		}
		session, err := s.open(&r)
		if errors.Is(err, ErrFormat) {
			bad.Add(r.ID, err)
			continue
		}
		if err != nil {
			return nil, nil, err
		}
		if err := s.allow(ctx, ActionGet, Target{SessionID: r.ID, UserID: session.UserID}); err != nil {
			return nil, nil, err
		}
		sessions = append(sessions, session)
	}
	if unanswered != nil {
		return sessions, missing, unanswered.With(&bad, 0)
	}
	return sessions, missing, bad.OrNil()
}

// GetByUserID returns all live sessions of the user, the newest first. It costs one
// round trip, or none where the backend has a near cache: what another process did a
// moment ago may not show yet, as with Get. Those that cannot be read are left out:
// Options.Logger hears of them, and List names them.
func (s *Store) GetByUserID(ctx context.Context, userID string) ([]Session, error) {
	call := s.call(ActionList, Target{UserID: userID})
	var sessions []Session
	query := ListQuery{UserID: userID, PageSize: maxPageSize}
	for restarts := 0; ; {
		page, err := s.list(ctx, query)
		if errors.Is(err, ErrListExpired) {
			if restarts++; restarts > maxRestarts {
				return nil, call.end(ctx, fmt.Errorf("%w: it went away or came back %d times while its sessions were listed", ErrUnavailable, restarts))
			}
			query.PageToken, sessions = "", nil
			continue
		}
		if err != nil {
			return nil, call.end(ctx, err)
		}
		sessions = append(sessions, page.Sessions...)
		if query.PageToken = page.NextPageToken; query.PageToken == "" {
			break
		}
	}
	slices.SortFunc(sessions, func(a, b Session) int { return b.CreatedAt.Compare(a.CreatedAt) })
	call.event.Count = len(sessions)
	return sessions, call.end(ctx, nil)
}

// ListQuery says which sessions to list.
type ListQuery struct {
	// UserID narrows the list to one user. Defaults to all.
	UserID string
	// PageSize is about how many sessions a page holds. Defaults to 100, at most
	// 1000.
	PageSize int
	// PageToken is the NextPageToken of the page before; empty at the start. It
	// outlives this process, but not an outage that begins or ends, or a switch to
	// another store: it is an ErrListExpired then, and the list has to begin anew.
	PageToken string
	// AllowIncomplete asks for what is there where a list cannot be whole, as in an
	// outage: the page then says that it is Incomplete. Defaults to false: it is an
	// ErrUnavailable.
	AllowIncomplete bool
}

// SessionPage is one page of a list. It may be empty and yet not be the last.
type SessionPage struct {
	Sessions []Session
	// Unreadable are the ids of sessions that are stored and cannot be read:
	// damaged ones, and those of a newer format or of another key. Each may live.
	Unreadable    []string
	NextPageToken string // empty at the end
	// Incomplete is true where sessions may be missing from the list, which
	// ListQuery.AllowIncomplete has allowed.
	Incomplete bool
}

const (
	defaultPageSize = 100
	maxPageSize     = 1000
	maxRestarts     = 5 // of a list that expires, in one call
)

// List returns a page of live sessions. One that lives from the first page to
// the last, its expiry unchanged, is in one of them. Those that cannot be read
// stand in nobody's way: the page names them, and Options.Logger hears of them.
func (s *Store) List(ctx context.Context, query ListQuery) (SessionPage, error) {
	call := s.call(ActionList, Target{UserID: query.UserID})
	page, err := s.list(ctx, query)
	call.event.Count = len(page.Sessions)
	return page, call.end(ctx, err)
}

func (s *Store) list(ctx context.Context, query ListQuery) (SessionPage, error) {
	setDefault(&query.PageSize, defaultPageSize)
	if query.PageSize < 0 || query.PageSize > maxPageSize {
		return SessionPage{}, invalid("pageSize", "is %d; 1 to %d are allowed", query.PageSize, maxPageSize)
	}
	if err := s.allow(ctx, ActionList, Target{UserID: query.UserID}); err != nil {
		return SessionPage{}, err
	}
	records, err := s.page(ctx, query)
	if err != nil {
		return SessionPage{}, err
	}
	page := SessionPage{NextPageToken: records.Next, Unreadable: records.Unreadable, Incomplete: records.Incomplete}
	now := s.clock.Now()
	for _, r := range records.Records {
		if !r.Live(now) {
			continue
		}
		session, err := s.open(&r)
		switch {
		case errors.Is(err, ErrFormat):
			page.Unreadable = append(page.Unreadable, r.ID)
		case err != nil:
			return SessionPage{}, fmt.Errorf("session %s: %w", r.ID, err)
		default:
			page.Sessions = append(page.Sessions, session)
		}
	}
	if n := len(page.Unreadable); n > 0 {
		s.options.Logger.Error("stored sessions cannot be read: they stay as they are and are left out of a list", "count", n, "ids", page.Unreadable[:min(n, maxNamed)])
	}
	return page, nil
}

func (s *Store) page(ctx context.Context, query ListQuery) (Page, error) {
	var user UserKey
	if query.UserID != "" {
		if err := checkUserID(query.UserID); err != nil {
			return Page{}, err
		}
		user = s.options.Codec.UserKey(query.UserID)
	}
	switch {
	case query.AllowIncomplete:
		return ListPartial(ctx, s.backend, user, query.PageToken, query.PageSize)
	case query.UserID == "":
		return s.backend.Scan(ctx, ScanQuery{After: query.PageToken, Limit: query.PageSize})
	}
	return s.backend.ListUser(ctx, user, query.PageToken, query.PageSize)
}

// live returns the stored session if it is live, else ErrNotFound.
func (s *Store) live(ctx context.Context, id string) (Record, error) {
	if err := CheckID(id); err != nil {
		return Record{}, err
	}
	r, err := s.backend.Get(ctx, id)
	if err != nil {
		return Record{}, err
	}
	if !r.Live(s.clock.Now()) {
		return Record{}, gone(&r)
	}
	return r, nil
}

// open is the session in a record.
func (s *Store) open(r *Record) (Session, error) {
	body, err := s.options.Codec.Open(*r)
	if err != nil {
		return Session{}, err
	}
	var c content
	if _, err := c.decodeFields(body); err != nil {
		return Session{}, err
	}
	return newSession(r, &c), nil
}

func newSession(r *Record, c *content) Session {
	return Session{
		ID: r.ID, UserID: c.userID, Username: c.username, Roles: c.roles, Metadata: c.metadata,
		CreatedAt: r.Born.Millis().Time(), ExpiresAt: r.Expiry.Time(), LastAccessedAt: r.LastAccess.Time(),
		Version: r.Version,
	}
}

// found turns ErrNotFound into an answer.
func found(err error) (bool, error) {
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}
