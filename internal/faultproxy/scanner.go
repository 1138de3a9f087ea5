package faultproxy

import (
	"bytes"
	"strconv"
)

const (
	// longestHeader is more than any line takes that announces a length.
	longestHeader = 32

	// longestValue is the most that Redis takes for a length.
	longestValue = 512 << 20
)

// scanner finds the ends of replies in a stream of RESP2 or RESP3. From the
// first byte on that cannot be RESP it takes the stream for opaque: whatever
// arrives at once is a reply.
type scanner struct {
	values int64  // values that the reply still lacks; zero between replies
	bulk   int    // bytes that the present value still lacks
	header []byte // the line that announces the next value, as far as it is here
	opaque bool
}

// between reports whether the last reply is complete.
func (s *scanner) between() bool { return s.opaque || s.values == 0 }

// begins reports whether the next byte begins a reply. A push message is none.
func (s *scanner) begins(b byte) bool { return s.between() && (s.opaque || b != '>') }

// advance reads on to the end of the reply or of the data, and returns how far
// it came.
func (s *scanner) advance(data []byte) int {
	if s.between() {
		s.values = 1
	}
	at := 0
	for at < len(data) && s.values > 0 && !s.opaque {
		if s.bulk > 0 {
			at += s.skip(data[at:])
		} else {
			at += s.line(data[at:])
		}
	}
	if s.opaque {
		return len(data)
	}
	return at
}

// skip passes over the content of a value.
func (s *scanner) skip(data []byte) int {
	n := min(s.bulk, len(data))
	s.bulk -= n
	if s.bulk == 0 {
		s.values--
	}
	return n
}

// line reads a header, or as much of it as there is.
func (s *scanner) line(data []byte) int {
	n := len(data)
	end := bytes.IndexByte(data, '\n')
	if end >= 0 {
		n = end + 1
	}
	s.header = append(s.header, data[:min(n, longestHeader-len(s.header))]...)
	if !bytes.ContainsRune([]byte("+-:_,#($=!*~>%|"), rune(s.header[0])) {
		s.opaque = true
		return n
	}
	if end >= 0 {
		s.announce(s.header[0], bytes.TrimSpace(s.header[1:]))
		s.header = s.header[:0]
	}
	return n
}

// announce takes note of the value that a header announces.
func (s *scanner) announce(kind byte, rest []byte) {
	switch kind {
	case '+', '-', ':', '_', ',', '#', '(': // a line is all there is
		s.values--
		return
	}
	n, err := strconv.Atoi(string(rest))
	if err != nil || n > longestValue {
		s.opaque = true
		return
	}
	switch kind {
	case '$', '=', '!':
		if n < 0 { // null
			s.values--
			return
		}
		s.bulk = n + len("\r\n")
	case '*', '~', '>':
		s.values += int64(max(n, 0)) - 1
	case '%':
		s.values += 2*int64(max(n, 0)) - 1
	case '|': // attributes come before the value that they belong to
		s.values += 2 * int64(max(n, 0))
	}
}
