package foreign

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/perdure/perdure"
)

// Layout is how a product stores its sessions in Redis: one a key, as a string.
type Layout interface {
	// KeyPrefix begins the keys of sessions; what follows is the id.
	KeyPrefix() string
	// Decode reads a session. The id is empty where only the value says it;
	// expires is when the key ends, or zero for never. It returns a
	// perdure.ErrInvalid, whose text holds nothing of what the session holds.
	Decode(id, value string, expires time.Time) (perdure.Foreign, error)
}

func invalid(field, format string, args ...any) error {
	return &perdure.InvalidError{Field: field, Problem: fmt.Sprintf(format, args...)}
}

// object reads a JSON object. Of what is wrong the error says where, and not
// what.
func object(value string, into any) error {
	err := json.Unmarshal([]byte(value), into)
	switch err := err.(type) {
	case nil:
		return nil
	case *json.SyntaxError:
		return invalid("session", "is not JSON at byte %d of %d", err.Offset, len(value))
	case *json.UnmarshalTypeError:
		return invalid(err.Field, "is a JSON %s", kindOf(err.Value))
	}
	return invalid("session", "cannot be read as JSON")
}

// kindOf is the first word of what encoding/json says a value is; after a number
// follows the number itself.
func kindOf(value string) string {
	for i := range len(value) {
		if value[i] == ' ' {
			return value[:i]
		}
	}
	return value
}

// moment reads a time as JavaScript writes it.
func moment(field, text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, invalid(field, "is missing, or not a time such as 2026-01-02T15:04:05.678Z")
	}
	return t, nil
}
