package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"connectrpc.com/connect"

	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
	"github.com/perdure/perdure/proto/perdure/v1/perdurev1connect"
)

// daemonTimeout bounds one call of a daemon.
const daemonTimeout = 10 * time.Second

// daemon is sessions over a running daemon, which may hold a store that no other
// process can open.
type daemon struct {
	address string // for errors: without user and password
	client  perdurev1connect.SessionServiceClient
}

func newDaemon(address string) (sessions, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return nil, usageError{fmt.Errorf("--store is not the address of a daemon; allowed: http://host:port or https://host:port")}
	}
	client := perdurev1connect.NewSessionServiceClient(&http.Client{Timeout: daemonTimeout}, address)
	return daemon{u.Scheme + "://" + u.Host, client}, nil
}

func (daemon) close() error { return nil }

// failed names the daemon in an error, and says where to look.
func (d daemon) failed(err error) error {
	err = fmt.Errorf("the daemon at %s: %w", d.address, err)
	switch {
	case connect.CodeOf(err) == connect.CodeUnimplemented:
		err = fmt.Errorf("%w\nthat is not the port of its sessions; see what it says at its start", err)
	case connect.CodeOf(err) != connect.CodeUnavailable:
	case connect.IsWireError(err):
		err = fmt.Errorf("%w\nsee %s/readyz?verbose, and its log", err, d.address)
	default:
		err = fmt.Errorf("%w\nsee whether perdure serve runs there, and what its PERDURE_LISTEN is", err)
	}
	return err
}

func (d daemon) get(ctx context.Context, id string) (session, error) {
	reply, err := d.client.GetSession(ctx, &perdurev1.GetSessionRequest{Id: id})
	if err != nil {
		return session{}, d.failed(err)
	}
	return fromDaemon(reply.GetSession())
}

func (d daemon) list(ctx context.Context, user, token string, partial bool) (listed, error) {
	reply, err := d.client.ListSessions(ctx, &perdurev1.ListSessionsRequest{UserId: user, PageSize: listPage, PageToken: token, AllowIncomplete: partial})
	if err != nil {
		return listed{}, d.failed(err)
	}
	page := listed{unreadable: reply.GetUnreadable(), next: reply.GetNextPageToken(), incomplete: reply.GetIncomplete()}
	for _, s := range reply.GetSessions() {
		one, err := fromDaemon(s)
		if err != nil {
			return listed{}, err
		}
		page.sessions = append(page.sessions, one)
	}
	return page, nil
}

func (d daemon) revoke(ctx context.Context, id string) (bool, error) {
	reply, err := d.client.DeleteSession(ctx, &perdurev1.DeleteSessionRequest{Id: id})
	if err != nil {
		return false, d.failed(err)
	}
	return reply.GetDeleted(), nil
}

func (d daemon) revokeUser(ctx context.Context, user string, except []string) (int, error) {
	reply, err := d.client.RevokeUserSessions(ctx, &perdurev1.RevokeUserSessionsRequest{UserId: user, ExceptIds: except})
	if err != nil {
		return 0, d.failed(err)
	}
	return int(reply.GetRevoked()), nil
}

func fromDaemon(s *perdurev1.Session) (session, error) {
	var metadata bytes.Buffer
	raw, err := []byte(s.GetMetadataJson()), error(nil)
	if len(raw) == 0 {
		raw, err = s.GetMetadata().MarshalJSON()
	}
	if err == nil {
		err = json.Compact(&metadata, raw) // what protojson writes has spaces at random
	}
	return session{
		ID: s.GetId(), UserID: s.GetUserId(), Username: s.GetUsername(), Roles: append([]string{}, s.GetRoles()...), Metadata: metadata.Bytes(),
		CreatedAt: s.GetCreatedAt().AsTime(), ExpiresAt: s.GetExpiresAt().AsTime(), LastAccessedAt: s.GetLastAccessedAt().AsTime(),
		Version: s.GetVersion(),
	}, err
}
