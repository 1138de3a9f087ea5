package perdure

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"unicode/utf8"
)

// content is the body of a session once it is open: what belongs to the user,
// and the version of each field that changed since birth.
type content struct {
	userID   string
	username string
	roles    []string
	metadata Metadata
	// root is the first id of a chain of rotations; empty before the first.
	root string
	// changes are in the order of their field names. A field that is not here
	// has the version Born; a metadata key that is here but not in metadata was
	// removed at that version, one that is in neither at the floor (see compact).
	changes []fieldVersion
}

type fieldVersion struct {
	field   string
	version Version
}

// The names of fields in changes.
const (
	fieldUsername = "u"
	fieldRoles    = "r"
	fieldMetadata = "m" // followed by the key
	fieldFloor    = "f" // of keys that are not there
)

const contentFormat = 1

func (c *content) encode() string {
	var room [1 << 10]byte
	b := appendFields(room[:0], c.userID, c.username, c.roles, c.metadata.packed)
	if c.root == "" && len(c.changes) == 0 {
		return string(b) // a session as it was born ends here
	}
	b = appendString(b, c.root)
	for _, change := range c.changes {
		b = change.version.append(appendString(b, change.field))
	}
	return string(b)
}

// appendFields writes what decodeFields reads.
func appendFields[T string | []byte](b []byte, userID, username string, roles []string, packed T) []byte {
	b = append(b, contentFormat)
	b = appendString(appendString(b, userID), username)
	b = binary.AppendUvarint(b, uint64(len(roles)))
	for _, role := range roles {
		b = appendString(b, role)
	}
	return appendString(b, packed)
}

// decodeContent reads what encode wrote; its strings share the memory of body.
// It returns an ErrFormat.
func decodeContent(body string) (c content, err error) {
	rest, err := c.decodeFields(body)
	if err != nil || rest == "" {
		return c, err
	}
	var ok bool
	if c.root, rest, ok = cutString(rest); !ok {
		return c, errContent
	}
	for rest != "" {
		var change fieldVersion
		if change.field, rest, ok = cutString(rest); !ok || change.field == "" || len(rest) < versionSize {
			return c, errContent
		}
		change.version, rest = versionAt(rest), rest[versionSize:]
		c.changes = append(c.changes, change)
	}
	return c, nil
}

var errContent = fmt.Errorf("%w: the session's body is damaged", ErrFormat)

// decodeFields reads what a Session shows and returns what follows.
func (c *content) decodeFields(body string) (rest string, err error) {
	if body == "" || body[0] != contentFormat {
		return "", errContent
	}
	var ok bool
	if c.userID, rest, ok = cutString(body[1:]); !ok {
		return "", errContent
	}
	if c.username, rest, ok = cutString(rest); !ok {
		return "", errContent
	}
	roles, rest, ok := cutUvarint(rest)
	if !ok || roles > maxRoles || !utf8.ValidString(c.userID) || !utf8.ValidString(c.username) {
		return "", errContent
	}
	c.roles = make([]string, roles)
	for i := range c.roles {
		if c.roles[i], rest, ok = cutString(rest); !ok || !utf8.ValidString(c.roles[i]) {
			return "", errContent
		}
	}
	if c.metadata.packed, rest, ok = cutString(rest); !ok {
		return "", errContent
	}
	return rest, nil
}

// version is that of the field: Born unless it changed since.
func (c *content) version(field string, born Version) Version {
	if i, ok := c.find(field); ok {
		return c.changes[i].version
	}
	return born
}

// mark records that the field was written at version.
func (c *content) mark(field string, version Version) {
	i, ok := c.find(field)
	if !ok {
		c.changes = slices.Insert(c.changes, i, fieldVersion{field: field})
	}
	c.changes[i].version = version
}

// descend makes it that of a successor of the session with the id.
func (c *content) descend(id string) {
	if c.root == "" {
		c.root = id
	}
}

func (c *content) find(field string) (int, bool) {
	return slices.BinarySearchFunc(c.changes, field, func(change fieldVersion, field string) int {
		return cmp.Compare(change.field, field)
	})
}

// apply makes the patch's changes at version, but for the expiry, which belongs to
// the header.
func (c *content) apply(p *Patch, metadata Metadata, version Version) {
	if p.Username != nil {
		c.username = *p.Username
		c.mark(fieldUsername, version)
	}
	if p.Roles != nil {
		c.roles = p.Roles
		c.mark(fieldRoles, version)
	}
	if metadata.packed != "" {
		var changed []string
		c.metadata, changed = c.metadata.patched(metadata)
		for _, key := range changed {
			c.mark(fieldMetadata+key, version)
		}
	}
}
