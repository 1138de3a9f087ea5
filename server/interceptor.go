package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"time"

	"connectrpc.com/connect"
)

// interceptor stands around every call: it gives errors their codes, logs them,
// turns panics into errors, and ends streams when the server stops.
type interceptor struct{ server *Server }

// WrapUnary stands around a call with one reply.
func (i interceptor) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (response connect.AnyResponse, err error) {
		defer i.end(ctx, request.Spec().Procedure, time.Now(), &err)
		return next(ctx, request)
	}
}

// WrapStreamingHandler stands around a stream.
func (i interceptor) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, stream connect.StreamingHandlerConn) (err error) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(i.server.stopping, cancel)()
		defer i.end(ctx, stream.Spec().Procedure, time.Now(), &err)
		err = next(ctx, stream)
		if ctx.Err() != nil && i.server.stopping.Err() != nil {
			return errStopping
		}
		return err
	}
}

// WrapStreamingClient is here for the interface alone.
func (interceptor) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// end is deferred around a call: it may recover.
func (i interceptor) end(ctx context.Context, procedure string, start time.Time, err *error) {
	logger := i.server.options.Logger
	if fault := recover(); fault != nil {
		if fault == http.ErrAbortHandler {
			panic(fault)
		}
		logger.LogAttrs(ctx, slog.LevelError, "panic in a call", slog.String("call", procedure),
			slog.String("panic", describe(fault)), slog.String("stack", string(debug.Stack())))
		*err = connect.NewError(connect.CodeInternal, errInternal)
		return
	}
	if *err == nil {
		if logger.Enabled(ctx, slog.LevelDebug) {
			logger.LogAttrs(ctx, slog.LevelDebug, "call", slog.String("call", procedure), slog.String("took", time.Since(start).String()))
		}
		return
	}
	answer := coded(ctx, *err)
	took := time.Since(start)
	if ours(answer.Code()) && !errors.Is(*err, errStopping) {
		i.server.failures.add(ctx, failure{procedure, answer.Code()}, took, *err)
	} else if logger.Enabled(ctx, slog.LevelDebug) {
		logger.LogAttrs(ctx, slog.LevelDebug, "call failed", slog.String("call", procedure), slog.String("code", answer.Code().String()),
			slog.String("took", took.String()), slog.Any("error", *err))
	}
	*err = answer
}

// describe tells of a panic what cannot be a payload: the text of an error of
// the runtime, else the type alone.
func describe(fault any) string {
	if err, ok := fault.(runtime.Error); ok {
		return err.Error()
	}
	return fmt.Sprintf("a value of type %T", fault)
}
