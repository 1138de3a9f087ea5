package archive

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/perdure/perdure"
)

// Header is what an archive says of itself at its beginning.
type Header struct {
	// Source is the address of the store, without secrets.
	Source string `json:"source,omitempty"`
	// StartedAt is when the backup began.
	StartedAt time.Time `json:"startedAt"`
	// Position is where the store's change feed was then: what comes after it is
	// perhaps not in the archive.
	Position string `json:"position"`
	// Sessions, and Tombstones with epochs, are about what the store held then.
	Sessions   int64 `json:"sessions"`
	Tombstones int64 `json:"tombstones"`
	// Expired says that expired sessions were taken too.
	Expired bool `json:"expired"`
}

// Footer is what an archive says of itself at its end.
type Footer struct {
	Totals
	// FinishedAt is when the backup had caught up with the store.
	FinishedAt time.Time `json:"finishedAt"`
	// Position is where the store's change feed was then: all before it is in the
	// archive.
	Position string `json:"position"`
	// Frames are those before the footer. JSON lines have none, and no digest.
	Frames uint32 `json:"frames,omitempty"`
	// Digest is the SHA-256 over the checksums of those frames, in hex.
	Digest string `json:"digest,omitempty"`
}

// Totals counts records. One that changed while the backup was made can be in it
// twice.
type Totals struct {
	Sessions   int64 `json:"sessions"`
	Tombstones int64 `json:"tombstones"`
	Epochs     int64 `json:"epochs"`
	// Expired sessions are those that were past their deadline: left out by a
	// backup unless it was asked for them.
	Expired int64 `json:"expired"`
	// Rescans is how often the change feed had lost the backup's place, so that it
	// scanned the store again.
	Rescans int `json:"rescans,omitempty"`
	// Unreadable records are stored and could not be read: they are not in the
	// file, or only as they were before.
	Unreadable int64 `json:"unreadable,omitempty"`
}

// Records is the number of all that were taken.
func (t *Totals) Records() int64 { return t.Sessions + t.Tombstones + t.Epochs }

func (t *Totals) count(r *perdure.Record) {
	switch r.Kind {
	case perdure.KindSession:
		t.Sessions++
	case perdure.KindTombstone:
		t.Tombstones++
	case perdure.KindEpoch:
		t.Epochs++
	}
}

// appendRecord adds a record to the content of a frame: id and record, each
// behind its length.
func appendRecord(b []byte, r *perdure.Record) []byte {
	b = binary.AppendUvarint(b, uint64(len(r.ID)))
	b = append(b, r.ID...)
	b = binary.AppendUvarint(b, uint64(r.EncodedSize()))
	return r.Append(b)
}

// readRecords reads what appendRecord wrote, so many times. The records share
// memory.
func readRecords(content []byte, n uint32, k kind) ([]perdure.Record, error) {
	rest := string(content)
	records := make([]perdure.Record, 0, min(int(n), len(content)/76))
	for rest != "" {
		id, after, ok := cut(rest)
		if !ok {
			return nil, fmt.Errorf("%w: the list of records is cut short", perdure.ErrFormat)
		}
		value, after, ok := cut(after)
		if !ok {
			return nil, fmt.Errorf("%w: the list of records is cut short", perdure.ErrFormat)
		}
		r, err := perdure.DecodeRecord(id, value)
		if err != nil {
			return nil, err
		}
		if (r.Kind == perdure.KindSession) != (k == kindSessions) {
			return nil, fmt.Errorf("%w: the record of %q is in the wrong frame", perdure.ErrFormat, id)
		}
		records, rest = append(records, r), after
	}
	if len(records) != int(n) {
		return nil, fmt.Errorf("%w: there are %d records and there should be %d", perdure.ErrFormat, len(records), n)
	}
	return records, nil
}

func cut(s string) (value, rest string, ok bool) {
	n, size := uint64(0), 0
	for size < len(s) && size < binary.MaxVarintLen64 {
		c := s[size]
		n |= uint64(c&0x7f) << (7 * size)
		size++
		if c < 0x80 {
			if n > uint64(len(s)-size) {
				return "", "", false
			}
			return s[size : size+int(n)], s[size+int(n):], true
		}
	}
	return "", "", false
}

// readHeader and readFooter read those frames.
func readHeader(content []byte) (h Header, err error) { return h, json.Unmarshal(content, &h) }
func readFooter(content []byte) (f Footer, err error) { return f, json.Unmarshal(content, &f) }
