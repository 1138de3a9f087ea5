package perdure

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"iter"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// Metadata is a session's JSON object as it is stored: an immutable list of keys
// in ascending order, each with its value as raw JSON. The zero Metadata is the
// empty object. Reading it allocates nothing; decoding a value is up to the
// caller, so numbers keep every digit.
type Metadata struct {
	// packed is a run of (key length, key, value length, value).
	packed string
}

// All yields the keys in ascending order with their raw values.
func (m Metadata) All() iter.Seq2[string, json.RawMessage] {
	return func(yield func(string, json.RawMessage) bool) {
		for key, raw := range m.entries() {
			if !yield(key, json.RawMessage(raw)) {
				return
			}
		}
	}
}

// Raw returns the value of key as JSON text, and whether there is one.
func (m Metadata) Raw(key string) (json.RawMessage, bool) {
	for k, raw := range m.entries() {
		if k == key {
			return json.RawMessage(raw), true
		}
	}
	return nil, false
}

// Decode stores the value of key in the variable that into points to, as
// json.Unmarshal does. Where there is no such key it returns false and leaves
// the variable alone.
func (m Metadata) Decode(key string, into any) (bool, error) {
	raw, ok := m.Raw(key)
	if !ok {
		return false, nil
	}
	return true, json.Unmarshal(raw, into)
}

// String returns the value of key where that is a JSON string, else "".
func (m Metadata) String(key string) (s string) {
	if ok, err := m.Decode(key, &s); !ok || err != nil {
		return ""
	}
	return s
}

// Len is the number of keys.
func (m Metadata) Len() (n int) {
	for range m.entries() {
		n++
	}
	return n
}

// Map decodes the whole object as json.Unmarshal does into a map: numbers
// become float64.
func (m Metadata) Map() (map[string]any, error) {
	object := map[string]any{}
	for key, raw := range m.entries() {
		var v any
		if err := json.Unmarshal([]byte(raw), &v); err != nil {
			return nil, err
		}
		object[key] = v
	}
	return object, nil
}

// MarshalJSON writes the object.
func (m Metadata) MarshalJSON() ([]byte, error) {
	b := []byte{'{'}
	for key, raw := range m.entries() {
		if len(b) > 1 {
			b = append(b, ',')
		}
		quoted, err := json.Marshal(key)
		if err != nil {
			return nil, err
		}
		b = append(append(append(b, quoted...), ':'), raw...)
	}
	return append(b, '}'), nil
}

// entries yields keys and raw values as substrings of packed.
func (m Metadata) entries() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for rest := m.packed; rest != ""; {
			var key, raw string
			var ok bool
			if key, raw, rest, ok = cutEntry(rest); !ok || !yield(key, raw) {
				return
			}
		}
	}
}

// cutEntry reads the first entry of a packed run.
func cutEntry(packed string) (key, raw, rest string, ok bool) {
	if key, rest, ok = cutString(packed); ok {
		raw, rest, ok = cutString(rest)
	}
	return key, raw, rest, ok
}

// patched is m with the values of patch in it, and the keys whose value or absence
// that changes. A "null" removes a key, if it is there.
func (m Metadata) patched(patch Metadata) (result Metadata, changed []string) {
	b := make([]byte, 0, len(m.packed)+len(patch.packed))
	rest := m.packed
	for key, raw := range patch.entries() {
		present := false
		for rest != "" && !present {
			k, _, after, ok := cutEntry(rest)
			if !ok || k > key {
				break
			}
			if present = k == key; !present {
				b = append(b, rest[:len(rest)-len(after)]...)
			}
			rest = after
		}
		if raw != "null" {
			b = appendString(appendString(b, key), raw)
		} else if !present {
			continue
		}
		changed = append(changed, key)
	}
	return Metadata{packed: string(append(b, rest...))}, changed
}

// appendString writes the length of s and s.
func appendString[T string | []byte](b []byte, s T) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// cutString reads what appendString wrote.
func cutString(s string) (value, rest string, ok bool) {
	n, s, ok := cutUvarint(s)
	if !ok || n > uint64(len(s)) {
		return "", "", false
	}
	return s[:n], s[n:], true
}

// cutUvarint reads what binary.AppendUvarint wrote.
func cutUvarint(s string) (n uint64, rest string, ok bool) {
	for i := range min(len(s), binary.MaxVarintLen64) {
		n |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			return n, s[i+1:], true
		}
	}
	return 0, "", false
}

const maxMetadataDepth = 32

// appendMetadata adds the packed form of the values that a caller gave; a nil value
// stays "null". It returns an ErrInvalid that names the key.
func appendMetadata(b []byte, object map[string]any) ([]byte, error) {
	var room [8]string
	keys := room[:0]
	for key := range object {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		if !utf8.ValidString(key) {
			return nil, invalid("metadata", "has a key that is not UTF-8")
		}
		b = appendString(b, key)
		start := len(b)
		var err error
		if b, err = appendJSON(b, object[key]); err != nil {
			return nil, invalid("metadata."+clip(key), "is not a JSON value: %v", err)
		}
		if depth(b[start:]) >= maxMetadataDepth {
			return nil, invalid("metadata."+clip(key), "is nested too deeply; %d levels are allowed, the object itself being the first", maxMetadataDepth)
		}
		b = insertLength(b, start)
	}
	return b, nil
}

// newMetadata is appendMetadata into a Metadata of its own.
func newMetadata(object map[string]any) (Metadata, error) {
	packed, err := appendMetadata(nil, object)
	return Metadata{packed: string(packed)}, err
}

// appendJSON adds the value as json.Marshal writes it. Most values are strings that
// need no escapes: those are copied as they are.
func appendJSON(b []byte, value any) ([]byte, error) {
	switch v := value.(type) {
	case string:
		if isPlain(v) {
			return append(append(append(b, '"'), v...), '"'), nil
		}
	case json.RawMessage:
		var compact bytes.Buffer
		err := json.Compact(&compact, v)
		return append(b, compact.Bytes()...), err
	}
	raw, err := json.Marshal(value)
	return append(b, raw...), err
}

// isPlain reports whether json.Marshal changes nothing in s. It looks at eight bytes at
// a time, of which each keeps its highest bit for those that are left as they are.
func isPlain(s string) bool {
	const each, highest = 0x0101010101010101, 0x8080808080808080
	differ := func(w, from uint64) uint64 { return (w ^ from*each) + 0x7f*each }
	for ; len(s) >= 8; s = s[8:] {
		w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		if w&highest != 0 {
			return false
		}
		plain := (w + (0x80-' ')*each) & differ(w, '\\')
		plain &= differ(w|('<'^'>')*each, '>') & differ(w|('"'^'&')*each, '&')
		if plain&highest != highest {
			return false
		}
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c < ' ' || c >= utf8.RuneSelf, c == '"', c == '\\', c == '<', c == '>', c == '&':
			return false
		}
	}
	return true
}

// insertLength makes what b holds from start on a string, as appendString does.
func insertLength(b []byte, start int) []byte {
	var room [binary.MaxVarintLen64]byte
	length := binary.AppendUvarint(room[:0], uint64(len(b)-start))
	return slices.Insert(b, start, length...)
}

// depth counts the levels of arrays and objects in valid JSON.
func depth(b []byte) (deepest int) {
	if b[0] != '{' && b[0] != '[' {
		return 0
	}
	level, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			level++
			deepest = max(deepest, level)
		case c == '}' || c == ']':
			level--
		}
	}
	return deepest
}

// packMetadata is the stored form of raw values.
func packMetadata(raw map[string]string) Metadata {
	if len(raw) == 0 {
		return Metadata{}
	}
	size := 0
	for key, value := range raw {
		size += len(key) + len(value) + 2*binary.MaxVarintLen32
	}
	b := make([]byte, 0, size)
	for _, key := range slices.Sorted(maps.Keys(raw)) {
		b = appendString(appendString(b, key), raw[key])
	}
	return Metadata{packed: string(b)}
}

// raw is the inverse of packMetadata; its strings do not share memory with m.
func (m Metadata) raw() map[string]string {
	raw := map[string]string{}
	for key, value := range m.entries() {
		raw[strings.Clone(key)] = strings.Clone(value)
	}
	return raw
}

// jsonSize is about the length of MarshalJSON: exact but for keys with
// characters that JSON escapes.
func (m Metadata) jsonSize() int {
	size := len("{}")
	for key, raw := range m.entries() {
		size += len(`"":,`) + len(key) + len(raw)
	}
	if m.packed != "" {
		size -= len(`,`) // none after the last
	}
	return size
}
