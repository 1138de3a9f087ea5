package server

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/perdure/perdure"
	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
)

// maxBatch bounds the ids of one BatchGetSessions.
const maxBatch = 1000

// GetSession returns a live session.
func (s sessions) GetSession(ctx context.Context, in *perdurev1.GetSessionRequest) (*perdurev1.GetSessionResponse, error) {
	session, err := s.store.Get(ctx, in.GetId())
	if err != nil {
		return nil, err
	}
	return &perdurev1.GetSessionResponse{Session: toSession(&session)}, nil
}

// BatchGetSessions returns those of many sessions that are live.
func (s sessions) BatchGetSessions(ctx context.Context, in *perdurev1.BatchGetSessionsRequest) (*perdurev1.BatchGetSessionsResponse, error) {
	if n := len(in.GetIds()); n > maxBatch {
		return nil, invalid("ids", "has %d entries; at most %d are allowed", n, maxBatch)
	}
	found, missing, err := s.store.GetMany(ctx, in.GetIds())
	unanswered, bad, err := perdure.AsUnanswered(err)
	if err != nil {
		return nil, err
	}
	reply := &perdurev1.BatchGetSessionsResponse{Sessions: toSessions(found), NotFound: missing}
	if bad != nil {
		reply.Unreadable = toIDs(bad.IDs)
	}
	if unanswered != nil {
		reply.Unavailable = unanswered.IDs
	}
	return reply, nil
}

// ValidateSession says whether a session is live. What is not even an id, such
// as a cookie that was tampered with, is not; no id at all is a mistake.
func (s sessions) ValidateSession(ctx context.Context, in *perdurev1.ValidateSessionRequest) (*perdurev1.ValidateSessionResponse, error) {
	if in.GetId() != "" && perdure.CheckID(in.GetId()) != nil {
		return &perdurev1.ValidateSessionResponse{}, nil
	}
	session, err := s.store.Get(ctx, in.GetId())
	if errors.Is(err, perdure.ErrNotFound) {
		reply := &perdurev1.ValidateSessionResponse{}
		if rotated, ok := errors.AsType[*perdure.RotatedError](err); ok {
			reply.RotatedAt = timestamppb.New(rotated.At)
		}
		return reply, nil
	}
	if err != nil {
		return nil, err
	}
	return &perdurev1.ValidateSessionResponse{Valid: true, Session: toSession(&session)}, nil
}

// ListSessions returns a page of live sessions.
func (s sessions) ListSessions(ctx context.Context, in *perdurev1.ListSessionsRequest) (*perdurev1.ListSessionsResponse, error) {
	page, err := s.store.List(ctx, perdure.ListQuery{
		UserID: in.GetUserId(), PageSize: int(in.GetPageSize()), PageToken: in.GetPageToken(),
		AllowIncomplete: in.GetAllowIncomplete(),
	})
	var bad *perdure.InvalidError
	if errors.As(err, &bad) && bad.Field == "cursor" {
		return nil, invalid("pageToken", "is not one of this list; give the nextPageToken of a page, or leave it out to start afresh")
	}
	if errors.Is(err, perdure.ErrUnavailable) && !in.GetAllowIncomplete() {
		return nil, fmt.Errorf("%w: %w", errUnlisted, err)
	}
	if err != nil {
		return nil, err
	}
	return &perdurev1.ListSessionsResponse{
		Sessions: toSessions(page.Sessions), NextPageToken: page.NextPageToken, Unreadable: toIDs(page.Unreadable), Incomplete: page.Incomplete,
	}, nil
}
