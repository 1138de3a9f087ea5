package redistest

import (
	"fmt"
	"strconv"
	"testing"
)

// Offsets of a record in which a byte makes a difference: see docs/storage.md.
const (
	SpoilFormat = 0
	SpoilKind   = 1
)

// Spoil overwrites one byte of the record of the id, as a damaged disk or another
// release might. A negative offset counts from the end of the record. It returns
// the key and what it holds then.
func (s *Server) Spoil(tb testing.TB, id string, offset int) (key, value string) {
	tb.Helper()
	ctx := tb.Context()
	key, value, err := func() (string, string, error) {
		keys, err := s.list(ctx, "KEYS", "*:s:"+id)
		if err != nil || len(keys) != 1 {
			return "", "", fmt.Errorf("%d keys are of %s: %w", len(keys), id, err)
		}
		key := keys[0].(string)
		stored, err := s.text(ctx, "GET", key)
		if err != nil {
			return key, "", err
		}
		if offset < 0 {
			offset += len(stored)
		}
		spoilt := stored[:offset] + string([]byte{stored[offset] ^ 0x80}) + stored[offset+1:]
		_, err = s.do(ctx, "SETRANGE", key, strconv.Itoa(offset), spoilt[offset:offset+1])
		return key, spoilt, err
	}()
	if err != nil {
		tb.Fatal(err)
	}
	return key, value
}
