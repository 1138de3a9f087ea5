package perdure

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"time"
)

// Partitions is the number of parts that sessions are divided into. All
// sessions of a user lie in one, and one atomic write touches one.
const Partitions = 256

// MaxIDLen is the longest id that a record can have, in bytes.
const MaxIDLen = 128

const (
	nativeIDLen = 24 // 2 hex digits of partition, 22 of base64url
	outageIDLen = nativeIDLen + 1 + outageDigits
	minIDLen    = 16

	outageDigits = 7 // of minutes since the Unix epoch, in hex
)

// UserKey stands for a user in keys and headers, so that neither shows the user
// id: 22 characters of base64url over 128 bits of a hash.
type UserKey string

const userKeyLen = 22

// HashUser is the user key where no Codec provides a keyed one: SHA-256 of the
// user id, cut to 128 bits.
func HashUser(userID string) UserKey {
	sum := sha256.Sum256([]byte(userID))
	return UserKeyFrom([16]byte(sum[:16]))
}

// UserKeyFrom makes a user key of a 128-bit hash.
func UserKeyFrom(hash [16]byte) UserKey {
	return UserKey(base64.RawURLEncoding.EncodeToString(hash[:]))
}

// Partition is the partition that the user's sessions lie in: the first byte of
// the hash. The empty key, of a user that is not known, has partition 0.
func (k UserKey) Partition() int {
	if len(k) != userKeyLen {
		return 0
	}
	return int(sextet(k[0])<<2 | sextet(k[1])>>4)
}

// sextet is the value of one base64url character; 0 for any other.
func sextet(c byte) byte {
	switch {
	case 'A' <= c && c <= 'Z':
		return c - 'A'
	case 'a' <= c && c <= 'z':
		return c - 'a' + 26
	case '0' <= c && c <= '9':
		return c - '0' + 52
	case c == '-':
		return 62
	case c == '_':
		return 63
	}
	return 0
}

// NewID mints a session id in the partition: 128 random bits. An id is a
// public handle, fit for lists and audit; it is not a bearer secret.
func NewID(partition int) string {
	var raw [16]byte
	rand.Read(raw[:]) // never fails: it ends the program instead
	var id [nativeIDLen]byte
	hex.Encode(id[:2], []byte{byte(partition)})
	base64.RawURLEncoding.Encode(id[2:], raw[:])
	return string(id[:])
}

// NewOutageID mints an id that says that it was minted while the store that all
// share could not be reached, and in which minute: who does not find it there
// may have asked too early.
func NewOutageID(partition int, now time.Time) string {
	return fmt.Sprintf("%s-%0*x", NewID(partition), outageDigits, now.Unix()/60)
}

// OutageTime is when an id that NewOutageID minted was minted, and whether it
// was.
func OutageTime(id string) (time.Time, bool) {
	if len(id) != outageIDLen || id[nativeIDLen] != '-' {
		return time.Time{}, false
	}
	var minutes int64
	for i := nativeIDLen + 1; i < outageIDLen; i++ {
		digit := unhex(id[i])
		if digit < 0 {
			return time.Time{}, false
		}
		minutes = minutes<<4 | int64(digit)
	}
	return time.Unix(minutes*60, 0).UTC(), true
}

// PartitionOf is the partition that a record lies in. Ids minted here and epoch
// ids say it in their first two digits; foreign ids are hashed.
func PartitionOf(id string) int {
	if _, outage := OutageTime(id); outage || len(id) == nativeIDLen || isEpochID(id) {
		if hi, lo := unhex(id[0]), unhex(id[1]); hi >= 0 && lo >= 0 {
			return hi<<4 | lo
		}
	}
	h := fnv.New32a()
	h.Write([]byte(id))
	return int(h.Sum32() & (Partitions - 1))
}

// CheckID returns an ErrInvalid unless id has the form of a session id: 16 to
// 128 of A-Z, a-z, 0-9, '-' and '_'.
func CheckID(id string) error {
	if len(id) < minIDLen || len(id) > MaxIDLen {
		return invalid("id", "has %d bytes; %d to %d of A-Za-z0-9_- are allowed", len(id), minIDLen, MaxIDLen)
	}
	all := uint64(1)
	for i := range len(id) {
		all &= inID(id[i])
	}
	for i := 0; all == 0; i++ {
		if inID(id[i]) == 0 {
			return invalid("id", "has a character at position %d that is not one of A-Za-z0-9_-", i)
		}
	}
	return nil
}

// inID is 1 for a character that an id may have, and else 0. It does not branch: the
// next character of a random id is anybody's guess, and this is done for each call.
func inID(c byte) uint64 {
	const (
		below64 = 1<<'-' | (1<<10-1)<<'0'
		from64  = (1<<26-1)<<('A'-64) | 1<<('_'-64) | (1<<26-1)<<('a'-64)
	)
	return (uint64(below64)>>c | uint64(from64)>>(c-64)) & 1
}

// EpochID is the id of the user's epoch record: the partition in hex, a dot and
// the user key. The dot keeps it apart from every session id.
func EpochID(user UserKey) string {
	return hex.EncodeToString([]byte{byte(user.Partition())}) + "." + string(user)
}

func isEpochID(id string) bool {
	return len(id) == 3+userKeyLen && id[2] == '.'
}

func unhex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	}
	return -1
}
