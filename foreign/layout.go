package foreign

import (
	"fmt"
	"time"

	"github.com/perdure/perdure"
)

// Layout is how a product stores its sessions in Redis: one a key, as a string.
type Layout interface {
	// KeyPrefix begins the keys of sessions; what follows is the id.
	KeyPrefix() string
	// Decode reads a session, for Portable.Record to check and to make a record of.
	// The id is empty where only the value says it; expires is when the key ends,
	// or zero for never. It returns a perdure.ErrInvalid, and the id as far as it
	// is known.
	Decode(id string, value []byte, expires time.Time) (perdure.Portable, error)
}

func invalid(field, format string, args ...any) error {
	return &perdure.InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)}
}
