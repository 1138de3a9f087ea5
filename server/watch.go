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

// WatchSessions streams the change feed. Its first message comes at once: a
// caller who has had it misses nothing that it does next.
func (s sessions) WatchSessions(ctx context.Context, in *perdurev1.WatchSessionsRequest, stream *connect.ServerStream[perdurev1.WatchSessionsResponse]) error {
	for batch, err := range s.store.Watch(ctx, in.GetCursor()) {
		switch {
		case errors.Is(err, perdure.ErrUnavailable):
			return fmt.Errorf("%w: %w", errUnfollowed, err)
		case err != nil:
			return gap(err, batch.Next)
		}
		if err := stream.Send(toChanges(batch)); err != nil {
			return err
		}
	}
	return ctx.Err()
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
