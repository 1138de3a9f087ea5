package redis

import (
	"bytes"
	"errors"
	"net"
	"strconv"
	"sync/atomic"
)

// guard ends a connection whose other side does not speak as Redis does: with
// messages that are none, of impossible sizes, or more replies than there were
// commands. The client would take some of them for a bug of its own, and panic.
type guard struct {
	net.Conn
	asked    scanner
	answered scanner
	commands atomic.Int64 // messages that were written
	replies  int64        // messages that were read, but for those that nobody asked for
	over     func()       // is called when it has ended
	sentinel bool         // the other side is one
}

var errGarbage = errors.New("what listens there does not speak as redis does (where it uses TLS, write rediss://)")

// newGuard guards a connection. Each error reply is passed to refused, if there is
// one, before the client reads it.
func newGuard(conn net.Conn, refused func(reply []byte)) *guard {
	return &guard{Conn: conn, over: func() {}, answered: scanner{refused: refused}}
}

// RemoteAddr also says what the other side is.
func (g *guard) RemoteAddr() net.Addr { return remote{g.Conn.RemoteAddr(), g.sentinel} }

type remote struct {
	net.Addr
	sentinel bool
}

// Close ends the connection.
func (g *guard) Close() error {
	g.over()
	return g.Conn.Close()
}

// Write counts the commands before they can be answered.
func (g *guard) Write(p []byte) (int, error) {
	messages, _, err := g.asked.scan(p)
	if err != nil {
		return 0, err
	}
	g.commands.Add(messages)
	return g.Conn.Write(p)
}

// Read passes on what has the form of replies.
func (g *guard) Read(p []byte) (int, error) {
	n, err := g.Conn.Read(p)
	if err != nil {
		g.over()
	}
	if n == 0 {
		return n, err
	}
	messages, pushed, bad := g.answered.scan(p[:n])
	g.replies += messages - pushed
	if bad != nil || g.replies > g.commands.Load() {
		g.Close()
		return 0, errGarbage
	}
	return n, err
}

const (
	maxBulk  = 512 << 20 // Redis's own limit
	maxArray = 1 << 20
	maxLine  = 1 << 16
)

// scanner follows the bounds of RESP messages over pieces of a stream.
type scanner struct {
	left int64  // messages still to come until the outermost is complete
	skip int64  // bytes still to come of a string
	line []byte // the beginning of a line
	push bool   // the outermost message is a push

	refused func(reply []byte) // takes the text of each error; or nil
}

// scan returns how many messages end in p, and how many of them are pushes.
func (s *scanner) scan(p []byte) (messages, pushes int64, err error) {
	for len(p) > 0 {
		if s.skip > 0 {
			n := min(s.skip, int64(len(p)))
			s.skip -= n
			p = p[n:]
		} else {
			end := bytes.IndexByte(p, '\n')
			if end < 0 {
				if s.line = append(s.line, p...); len(s.line) > maxLine {
					return 0, 0, errGarbage
				}
				break
			}
			line := p[:end+1]
			if len(s.line) > 0 {
				line = append(s.line, line...)
			}
			p = p[end+1:]
			if err := s.header(line); err != nil {
				return 0, 0, err
			}
			s.line = s.line[:0]
		}
		if s.skip == 0 && s.left == 0 {
			messages++
			if s.push {
				pushes++
			}
		}
	}
	return messages, pushes, nil
}

// header takes in the line that a message begins with.
func (s *scanner) header(line []byte) error {
	if len(line) < 3 || len(line) > maxLine || line[len(line)-2] != '\r' {
		return errGarbage
	}
	kind, text := line[0], line[1:len(line)-2]
	outermost := s.left == 0
	if outermost {
		s.left, s.push = 1, kind == '>'
	}
	switch kind {
	case '+', ':', '_', ',', '#', '(':
		s.left--
	case '-':
		s.left--
		if s.refused != nil {
			s.refused(text)
		}
		return redirection(text)
	case '$', '=', '!':
		n, err := size(text, maxBulk)
		if n >= 0 {
			s.skip = n + 2
		}
		s.left--
		return err
	case '*', '~', '%', '|', '>':
		n, err := size(text, maxArray)
		if kind == '%' || kind == '|' {
			n *= 2
		}
		s.left += max(n, 0)
		// An attribute comes before its message. A push may come amid a reply
		// (redis/redis#8935) and is not part of it.
		if kind != '|' && (kind != '>' || outermost) {
			s.left--
		}
		return err
	default:
		return errGarbage
	}
	return nil
}

// size reads a length; -1 is a null.
func size(text []byte, limit int64) (int64, error) {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || n < -1 || n > limit {
		return 0, errGarbage
	}
	return n, nil
}

// redirection checks that an error which names another node has one to name.
func redirection(text []byte) error {
	if (bytes.HasPrefix(text, []byte("MOVED")) || bytes.HasPrefix(text, []byte("ASK"))) && bytes.Count(text, []byte(" ")) < 2 {
		return errGarbage
	}
	return nil
}
