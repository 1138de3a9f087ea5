package server

import (
	"context"
	"errors"
	"fmt"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/perdure/perdure"
	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
)

// WatchSessions streams the change feed.
func (s sessions) WatchSessions(ctx context.Context, in *perdurev1.WatchSessionsRequest, stream *connect.ServerStream[perdurev1.WatchSessionsResponse]) error {
	cursor, err := s.start(ctx, in.GetCursor())
	if err != nil {
		return err
	}
	if err := stream.Send(&perdurev1.WatchSessionsResponse{Cursor: cursor}); err != nil {
		return err
	}
	for batch, err := range s.store.Watch(ctx, cursor) {
		if err != nil {
			return gap(err, batch.Next)
		}
		if err := stream.Send(toChanges(batch)); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// start is the cursor to watch from: now, where the caller gave none. The feed
// is asked here, so that a caller who has had the first message misses nothing
// that it does next.
func (s sessions) start(ctx context.Context, cursor string) (string, error) {
	if cursor != perdure.FromNow {
		return cursor, nil
	}
	batch, err := s.store.Backend().Changes(ctx, perdure.FromNow, 1, 0)
	return batch.Next, err
}

// gap adds to a perdure.ErrFeedGap the cursor to go on from.
func gap(err error, cursor string) error {
	if !errors.Is(err, perdure.ErrFeedGap) {
		return err
	}
	answer := connect.NewError(connect.CodeOutOfRange, errFeedGap)
	detail, err := connect.NewErrorDetail(&perdurev1.FeedGap{Cursor: cursor})
	if err != nil {
		return fmt.Errorf("detail of a feed gap: %w", err)
	}
	answer.AddDetail(detail)
	return answer
}

func toChanges(batch perdure.ChangeBatch) *perdurev1.WatchSessionsResponse {
	changes := make([]*perdurev1.Change, len(batch.Changes))
	for i, c := range batch.Changes {
		changes[i] = &perdurev1.Change{
			Kind: c.Kind.String(), Id: c.ID, Reason: c.Reason.String(), Version: c.Version.String(), At: timestamppb.New(c.At.Time()),
		}
	}
	return &perdurev1.WatchSessionsResponse{Changes: changes, Cursor: batch.Next}
}
