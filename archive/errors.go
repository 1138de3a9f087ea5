package archive

import (
	"errors"
	"fmt"

	"github.com/perdure/perdure"
)

var (
	// ErrDamaged: the file is cut short, was altered, or is none that perdure can
	// read. The error is a *DamageError; nothing was written. What is whole can
	// be had with OpenOptions.Salvage.
	ErrDamaged = errors.New("the file cannot be restored as it is")

	// ErrLocked: the file is encrypted, and none of the identities given opens it.
	ErrLocked = errors.New("the file is encrypted")
)

// DamageError says what is wrong with a file, and where. It is an ErrDamaged and a
// perdure.ErrFormat.
type DamageError struct {
	// Problem is what is wrong, and what to do about it.
	Problem string
	// Offset is where, in bytes from the start of the file as it is when it is
	// decrypted. Negative is not known.
	Offset int64
	// Err is what reading the file returned, if that was it.
	Err error
}

func (e *DamageError) Error() string {
	where := ""
	if e.Offset >= 0 {
		where = fmt.Sprintf(" at byte %d", e.Offset)
	}
	if e.Err != nil {
		return fmt.Sprintf("the file is damaged%s: %s: %v", where, e.Problem, e.Err)
	}
	return fmt.Sprintf("the file is damaged%s: %s", where, e.Problem)
}

// Is makes errors.Is true of ErrDamaged and perdure.ErrFormat.
func (e *DamageError) Is(target error) bool {
	return target == ErrDamaged || target == perdure.ErrFormat
}

func (e *DamageError) Unwrap() error { return e.Err }

func damaged(offset int64, format string, args ...any) error {
	return &DamageError{Problem: fmt.Sprintf(format, args...), Offset: offset}
}

func invalid(field, format string, args ...any) error {
	return &perdure.InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)}
}
