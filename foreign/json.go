package foreign

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/perdure/perdure"
)

// Unmarshal is json.Unmarshal of what may hold secrets: it returns a
// perdure.ErrInvalid that says where the text is wrong, and not what it says there.
func Unmarshal(text []byte, into any) error {
	err := json.Unmarshal(text, into)
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	var moment *time.ParseError
	switch {
	case err == nil, errors.Is(err, perdure.ErrInvalid):
		return err
	case errors.As(err, &syntax):
		return invalid("session", "is not JSON at byte %d of %d", syntax.Offset, len(text))
	case errors.As(err, &kind):
		field := kind.Field
		if field == "" {
			field = "session"
		}
		value, _, _ := strings.Cut(kind.Value, " ") // a number is followed by its digits
		return invalid(field, "is a JSON %s", value)
	case errors.As(err, &moment):
		return invalid("session", "has a time that is not one such as %s", exampleTime)
	}
	return invalid("session", "cannot be read as JSON")
}

const exampleTime = "2026-01-02T15:04:05.678Z"

// moment reads a time as JavaScript writes it, a string or milliseconds; zero
// where there is none.
func moment(field string, raw json.RawMessage) (t time.Time, err error) {
	var ms int64
	switch {
	case len(raw) == 0, bytes.Equal(raw, []byte("null")), bytes.Equal(raw, []byte(`""`)), bytes.Equal(raw, []byte("0")):
		return t, nil
	case json.Unmarshal(raw, &ms) == nil:
		return time.UnixMilli(ms).UTC(), nil
	case json.Unmarshal(raw, &t) != nil:
		return time.Time{}, invalid(field, "is neither milliseconds nor a time such as %s", exampleTime)
	}
	return t, nil
}
