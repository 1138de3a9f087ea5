package server

import (
	"cmp"
	"context"
	"math"

	"github.com/perdure/perdure"
	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
)

// CreateSession makes a new session.
func (s sessions) CreateSession(ctx context.Context, in *perdurev1.CreateSessionRequest) (*perdurev1.CreateSessionResponse, error) {
	if in.TtlSeconds != nil && in.ExpiresAt != nil {
		return nil, invalid("ttlSeconds", "and expiresAt are both set; set one")
	}
	ttl, err := fromSeconds("ttlSeconds", in.TtlSeconds, s.store.MaxTTL())
	if err != nil {
		return nil, err
	}
	expiresAt, err := fromTime("expiresAt", in.GetExpiresAt())
	if err != nil {
		return nil, err
	}
	metadata, err := fromMetadata(in.GetMetadata(), in.GetMetadataJson())
	if err != nil {
		return nil, err
	}
	session, err := s.store.Create(ctx, perdure.Data{
		UserID: in.GetUserId(), Username: in.GetUsername(), Roles: in.GetRoles(), Metadata: metadata,
		TTL: ttl, ExpiresAt: expiresAt,
	})
	if err != nil {
		return nil, err
	}
	return &perdurev1.CreateSessionResponse{Session: toSession(&session)}, nil
}

// UpdateSession changes what the request sets.
func (s sessions) UpdateSession(ctx context.Context, in *perdurev1.UpdateSessionRequest) (*perdurev1.UpdateSessionResponse, error) {
	roles, err := fromRoles(in.GetRoles())
	if err != nil {
		return nil, err
	}
	metadata, err := fromMetadata(in.GetMetadata(), in.GetMetadataJson())
	if err != nil {
		return nil, err
	}
	expiresAt, err := fromTime("expiresAt", in.GetExpiresAt())
	if err != nil {
		return nil, err
	}
	expected, err := fromVersion("expectedVersion", in.ExpectedVersion)
	if err != nil {
		return nil, err
	}
	session, err := s.store.Update(ctx, in.GetId(), perdure.Patch{
		Username: in.Username, Roles: roles, Metadata: metadata, ExpiresAt: expiresAt, Expected: expected,
	})
	if err != nil {
		return nil, err
	}
	return &perdurev1.UpdateSessionResponse{Session: toSession(&session)}, nil
}

// TouchSession sets the last access to now.
func (s sessions) TouchSession(ctx context.Context, in *perdurev1.TouchSessionRequest) (*perdurev1.TouchSessionResponse, error) {
	touched, err := s.store.Touch(ctx, in.GetId())
	return &perdurev1.TouchSessionResponse{Touched: touched}, err
}

// RefreshSession rotates a session to a new id and extends it.
func (s sessions) RefreshSession(ctx context.Context, in *perdurev1.RefreshSessionRequest) (*perdurev1.RefreshSessionResponse, error) {
	ttl, err := fromSeconds("ttlSeconds", in.TtlSeconds, math.MaxInt64) // it is cut to the horizon
	if err != nil {
		return nil, err
	}
	session, err := s.store.Rotate(ctx, in.GetId(), cmp.Or(ttl, s.options.TTL))
	if err != nil {
		return nil, err
	}
	return &perdurev1.RefreshSessionResponse{Session: toSession(&session)}, nil
}

// DeleteSession logs a session out.
func (s sessions) DeleteSession(ctx context.Context, in *perdurev1.DeleteSessionRequest) (*perdurev1.DeleteSessionResponse, error) {
	deleted, err := s.store.Delete(ctx, in.GetId())
	return &perdurev1.DeleteSessionResponse{Deleted: deleted}, err
}

// RevokeUserSessions ends all sessions of a user but for some.
func (s sessions) RevokeUserSessions(ctx context.Context, in *perdurev1.RevokeUserSessionsRequest) (*perdurev1.RevokeUserSessionsResponse, error) {
	revoked, err := s.store.RevokeUser(ctx, in.GetUserId(), in.GetExceptIds()...)
	return &perdurev1.RevokeUserSessionsResponse{Revoked: int32(revoked)}, err
}
