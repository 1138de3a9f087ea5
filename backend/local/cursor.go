package local

import (
	"encoding/hex"
	"strings"

	"github.com/perdure/perdure"
)

// A cursor of Scan, ListUser and RemoveUser is the partition of the last id in
// hex, a dot and that id. Only ids and their order decide what it means, so it
// outlives the process.
func writeCursor(id string) string {
	return hex.EncodeToString([]byte{byte(perdure.PartitionOf(id))}) + "." + id
}

// CursorAfter is the cursor of Scan, ListUser and RemoveUser that goes on after an
// id, for a backend that joins lists of several of these.
func CursorAfter(id string) string {
	if id == "" {
		return ""
	}
	return writeCursor(id)
}

// readCursor is the id that a cursor stands for, empty for the start. It returns
// an ErrInvalid.
func readCursor(cursor string) (id string, err error) {
	if cursor == "" {
		return "", nil
	}
	_, id, _ = strings.Cut(cursor, ".")
	if id == "" || len(id) > perdure.MaxIDLen || cursor != writeCursor(id) {
		return "", invalid("cursor", "is not one of this listing; give the Next of a page, or nothing to begin")
	}
	return id, nil
}
