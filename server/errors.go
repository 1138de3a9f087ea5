package server

import (
	"context"
	"errors"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/perdure/perdure"
	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
)

// The texts of errors whose own text could show the inside of the server: it is
// in the log instead.
var (
	errUnavailable = errors.New("the session store cannot answer now; this says nothing about the session, try again")
	errUnfollowed  = errors.New("the session store cannot be followed now; watch again from the last cursor")
	errUnlisted    = errors.New("the sessions cannot all be listed now; try again, or set allowIncomplete for those that can be")
	errFull        = errors.New("the session store is full; it takes new sessions again when others end")
	errFeedGap     = errors.New("changes after this cursor are no longer in the feed; list the sessions afresh and watch from the cursor in this error's details")
	errListExpired = errors.New("the list cannot go on after this pageToken, since the store went away or came back meanwhile, or was replaced; leave it out to begin the list anew")
	errFormat      = errors.New("a stored record cannot be read and was left as it is; the server's log says which")
	errDeadline    = errors.New("the deadline of the call has passed; a write may or may not have been made")
	errCanceled    = errors.New("the call was canceled")
	errInternal    = errors.New("internal error; the server's log has it")
	errStopping    = errors.New("the server is stopping; watch again from the last cursor")
)

// coded gives an error of the Store its code and a text that is fit for the
// caller.
func coded(ctx context.Context, err error) *connect.Error {
	var coded *connect.Error
	var invalid *perdure.InvalidError
	var rotated *perdure.RotatedError
	switch {
	case errors.As(err, &coded):
		return coded
	case errors.Is(err, errStopping):
		return connect.NewError(connect.CodeUnavailable, errStopping)
	case errors.Is(err, errUnfollowed):
		return connect.NewError(connect.CodeUnavailable, errUnfollowed)
	case errors.Is(err, errUnlisted) && ctx.Err() == nil:
		return connect.NewError(connect.CodeUnavailable, errUnlisted)
	case errors.As(err, &invalid):
		// A text that quotes the request may cut a character in two.
		return connect.NewError(connect.CodeInvalidArgument, errors.New(strings.ToValidUTF8(invalid.Error(), "…")))
	case errors.As(err, &rotated):
		return rotatedAt(rotated)
	case errors.Is(err, perdure.ErrNotFound):
		return connect.NewError(connect.CodeNotFound, perdure.ErrNotFound)
	case errors.Is(err, perdure.ErrConflict):
		return connect.NewError(connect.CodeAborted, err)
	case errors.Is(err, perdure.ErrExists):
		return connect.NewError(connect.CodeAlreadyExists, err)
	case errors.Is(err, perdure.ErrDenied):
		return connect.NewError(connect.CodePermissionDenied, err)
	case errors.Is(err, perdure.ErrFull):
		return connect.NewError(connect.CodeResourceExhausted, errFull)
	case errors.Is(err, perdure.ErrFeedGap):
		return connect.NewError(connect.CodeOutOfRange, errFeedGap)
	case errors.Is(err, perdure.ErrListExpired):
		return connect.NewError(connect.CodeOutOfRange, errListExpired)
	case errors.Is(err, perdure.ErrFormat):
		return connect.NewError(connect.CodeDataLoss, errFormat)
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, errDeadline)
	case ctx.Err() != nil, errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, errCanceled)
	case errors.Is(err, perdure.ErrUnavailable), errors.Is(err, perdure.ErrSkew), errors.Is(err, context.DeadlineExceeded):
		return connect.NewError(connect.CodeUnavailable, errUnavailable)
	}
	return connect.NewError(connect.CodeInternal, errInternal)
}

// rotatedAt is not_found with a detail that tells it from a logout.
func rotatedAt(err *perdure.RotatedError) *connect.Error {
	answer := connect.NewError(connect.CodeNotFound, err)
	if detail, err := connect.NewErrorDetail(&perdurev1.SessionRotated{RotatedAt: timestamppb.New(err.At)}); err == nil {
		answer.AddDetail(detail)
	}
	return answer
}

// ours reports whether an error of this code is the server's trouble, rather
// than an answer to the caller.
func ours(code connect.Code) bool {
	switch code {
	case connect.CodeUnavailable, connect.CodeResourceExhausted, connect.CodeDataLoss, connect.CodeInternal, connect.CodeUnknown:
		return true
	}
	return false
}
