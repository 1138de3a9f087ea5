package perdure

import "fmt"

// ChangeKind says what happened to a session.
type ChangeKind uint8

const (
	Created ChangeKind = iota + 1
	Updated
	Touched
	Deleted
	Expired
	// UserRevoked announces the epoch of a user; the ID is that of the epoch
	// record. Store.Watch does not deliver it: each session that the revocation
	// ended has its own Deleted.
	UserRevoked
)

var changeNames = [...]string{"", "created", "updated", "touched", "deleted", "expired", "user_revoked"}

func (k ChangeKind) String() string {
	if int(k) < len(changeNames) {
		return changeNames[k]
	}
	return fmt.Sprintf("change_%d", uint8(k))
}

// Change is one entry of the change feed. It says that a record changed, not
// what it holds now: load the record to know.
type Change struct {
	Kind   ChangeKind
	Reason Reason
	ID     string
	User   UserKey
	// Version is that of the record after the change.
	Version Version
	// At is when the backend made the change, by the backend's clock.
	At Millis
}

// ChangeBatch is a stretch of the feed.
type ChangeBatch struct {
	Changes []Change
	// Next is the cursor after these changes: give it to go on from there, in
	// this process or another.
	Next string
}

const (
	// FromNow is the cursor of a watcher that wants only what is to come.
	FromNow = ""
	// FromOldest is the cursor of a watcher that wants all that the feed holds.
	FromOldest = "oldest"
)

// maxChangeSize bounds an encoded change: its fixed part and the longest id.
const changeFixed = 2 + versionSize + userKeyLen

// Append encodes the change without At, which a backend's feed keeps itself.
func (c *Change) Append(b []byte) []byte {
	b = append(b, byte(c.Kind), byte(c.Reason))
	b = c.Version.append(b)
	var user [userKeyLen]byte
	copy(user[:], c.User)
	b = append(b, user[:]...)
	return append(b, c.ID...)
}

// DecodeChange reads what Append wrote. It returns an ErrFormat.
func DecodeChange(s string) (Change, error) {
	if len(s) <= changeFixed || len(s) > changeFixed+MaxIDLen {
		return Change{}, fmt.Errorf("%w: a change of %d bytes", ErrFormat, len(s))
	}
	c := Change{Kind: ChangeKind(s[0]), Reason: Reason(s[1]), Version: versionAt(s[2:]), ID: s[changeFixed:]}
	if user := s[2+versionSize : changeFixed]; user[0] != 0 {
		c.User = UserKey(user)
	}
	if c.Kind < Created || c.Kind > UserRevoked {
		return Change{}, fmt.Errorf("%w: a change of unknown kind %d", ErrFormat, c.Kind)
	}
	return c, nil
}
