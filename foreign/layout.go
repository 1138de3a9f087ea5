package foreign

import (
	"fmt"
	"strings"
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

// Split takes apart the key of a session of a layout that may have another prefix than
// that, such as the product's own setting says.
func Split(l Layout, key string) (prefix, id string, ok bool) {
	mark := ":" // by which prefixes end
	if _, is := l.(Puppeteer); is {
		mark = "session:"
	}
	at := strings.LastIndex(key, mark)
	if at < 0 {
		return "", "", false
	}
	prefix, id = key[:at], key[at+len(mark):]
	if _, is := l.(Puppeteer); !is {
		prefix += mark
	}
	return prefix, id, id != "" && prefix+mark != l.KeyPrefix() && prefix != l.KeyPrefix()
}
