package perdure

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// Version orders writes: a hybrid logical clock reading (Kulkarni et al.,
// "Logical Physical Clocks", 2014) with the node that made it, so that no two
// writes share one. The zero Version is before every other and means "none".
type Version struct {
	// Time is milliseconds since the Unix epoch in the upper 48 bits and a
	// counter in the lower 16.
	Time uint64
	// Node is the writer, drawn at random when its Store starts.
	Node uint32
}

// versionSize is the length of a Version in a record.
const versionSize = 12

// Compare orders by time, then counter, then node.
func (v Version) Compare(o Version) int {
	return cmp.Or(cmp.Compare(v.Time, o.Time), cmp.Compare(v.Node, o.Node))
}

// Before reports whether v is earlier than o.
func (v Version) Before(o Version) bool { return v.Compare(o) < 0 }

// IsZero reports whether v is "none".
func (v Version) IsZero() bool { return v == Version{} }

// Millis is the physical part of the clock reading.
func (v Version) Millis() Millis { return Millis(v.Time >> 16) }

// String is 24 hex digits whose order is the order of versions; empty for none.
func (v Version) String() string {
	if v.IsZero() {
		return ""
	}
	return hex.EncodeToString(v.append(make([]byte, 0, versionSize)))
}

// ParseVersion reads what String wrote. It returns an ErrInvalid.
func ParseVersion(s string) (Version, error) {
	if s == "" {
		return Version{}, nil
	}
	var b [versionSize]byte
	if n, err := hex.Decode(b[:], []byte(s[:min(len(s), 2*versionSize)])); err != nil || n != versionSize || len(s) != 2*versionSize {
		return Version{}, invalid("version", "%q is not a version: 24 hex digits, as a session's version field shows them", clip(s))
	}
	return versionAt(string(b[:])), nil
}

// MarshalText is String.
func (v Version) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText is ParseVersion.
func (v *Version) UnmarshalText(b []byte) (err error) {
	*v, err = ParseVersion(string(b))
	return err
}

func (v Version) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, v.Time)
	return binary.BigEndian.AppendUint32(b, v.Node)
}

// versionAt reads a version from the first versionSize bytes of s.
func versionAt(s string) Version {
	return Version{Time: bigEndian(s[:8]), Node: uint32(bigEndian(s[8:12]))}
}

func later(a, b Version) Version {
	if a.Before(b) {
		return b
	}
	return a
}

// bigEndian reads all of s without copying it.
func bigEndian(s string) (n uint64) {
	for i := range len(s) {
		n = n<<8 | uint64(s[i])
	}
	return n
}

// clip makes hostile input fit for an error text.
func clip(s string) string {
	if len(s) > 64 {
		return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(s[:64], ""), len(s))
	}
	return s
}
