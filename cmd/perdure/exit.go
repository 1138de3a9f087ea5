package main

import (
	"context"
	"errors"
	"io/fs"

	"connectrpc.com/connect"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/archive"
	"github.com/perdure/perdure/factory"
	"github.com/perdure/perdure/migrate"
	"github.com/perdure/perdure/server"
)

// The exit codes: a contract with scripts. The help topic exit-codes says the
// same.
const (
	exitOK          = 0   // done; also a serve that was told to stop and did
	exitError       = 1   // it failed, or doctor found an error
	exitUsage       = 2   // the command line, the configuration or the input is wrong
	exitPartial     = 3   // some of it was done
	exitDenied      = 4   // the caller may not do this
	exitNotFound    = 5   // there is no such session
	exitConflict    = 6   // another writer came first, or the id is taken
	exitUnverified  = 7   // a verification failed
	exitInterrupted = 130 // interrupted before it was done
)

// usageError is a mistake in the command line or the configuration.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// partialError says that some of it was done and some not.
type partialError struct{ error }

func (e partialError) Unwrap() error { return e.error }

// exitCode is the exit code that stands for an error.
func exitCode(err error) int {
	var usage usageError
	var partial partialError
	var config *factory.ConfigError
	var address *factory.AddressError
	code := connect.CodeUnknown
	if err != nil {
		code = connect.CodeOf(err)
	}
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, context.Canceled), code == connect.CodeCanceled:
		return exitInterrupted
	case errors.As(err, &partial):
		return exitPartial
	case errors.Is(err, archive.ErrDamaged):
		return exitUnverified
	case errors.Is(err, archive.ErrLocked):
		return exitDenied
	case errors.As(err, &usage), errors.Is(err, fs.ErrExist), errors.As(err, &config), errors.As(err, &address),
		errors.Is(err, perdure.ErrInvalid), errors.Is(err, server.ErrExposed), code == connect.CodeInvalidArgument:
		return exitUsage
	case errors.Is(err, migrate.ErrDiffers):
		return exitUnverified
	case errors.Is(err, perdure.ErrDenied), code == connect.CodePermissionDenied, code == connect.CodeUnauthenticated:
		return exitDenied
	case errors.Is(err, perdure.ErrNotFound), code == connect.CodeNotFound:
		return exitNotFound
	case errors.Is(err, perdure.ErrConflict), errors.Is(err, perdure.ErrExists), code == connect.CodeAborted, code == connect.CodeAlreadyExists:
		return exitConflict
	}
	return exitError
}
