package redistest

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// doTimeout bounds one command, so that a stopped server ends in an error.
const doTimeout = 20 * time.Second

// ReplyError is an error that the server replied with, such as
// "WRONGTYPE Operation against a key holding the wrong kind of value".
type ReplyError string

func (e ReplyError) Error() string { return string(e) }

// Conn is a connection that speaks RESP2, one command at a time. It is meant
// for setting tests up, not for speed, and is not for several goroutines.
type Conn struct {
	net  net.Conn
	read *bufio.Reader
}

// Dial connects and logs in, for commands that belong together: WAIT, MULTI,
// ASKING. The connection is of no use after the context's deadline.
func (s *Server) Dial(ctx context.Context) (*Conn, error) {
	dialer := &net.Dialer{}
	raw, err := dialer.DialContext(ctx, "tcp", s.Addr())
	if err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		raw.SetDeadline(deadline)
	}
	if config := s.TLSConfig(); config != nil {
		raw = tls.Client(raw, config)
	}
	c := &Conn{net: raw, read: bufio.NewReader(raw)}
	if err := c.authenticate(s.options); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func (c *Conn) authenticate(o Options) error {
	auth := []string{"AUTH"}
	if o.Username != "" {
		auth = append(auth, o.Username)
	}
	if o.Password == "" {
		return nil
	}
	_, err := c.Do(append(auth, o.Password)...)
	return err
}

// Close ends the connection.
func (c *Conn) Close() error { return c.net.Close() }

// Do sends one command and returns the reply: a string, an int64, nil, or a
// []any of these (and of ReplyError). An error reply is returned as a
// ReplyError.
func (c *Conn) Do(args ...string) (any, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, arg := range args {
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(arg), arg)
	}
	if _, err := io.WriteString(c.net, b.String()); err != nil {
		return nil, err
	}
	reply, err := c.reply()
	if err != nil {
		return nil, err
	}
	if failed, ok := reply.(ReplyError); ok {
		return nil, failed
	}
	return reply, nil
}

// reply reads one value: a string, an int64, nil, a ReplyError or a []any.
func (c *Conn) reply() (any, error) {
	line, err := c.read.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return nil, errors.New("empty line instead of a reply")
	}
	kind, rest := line[0], line[1:]
	switch kind {
	case '+':
		return rest, nil
	case '-':
		return ReplyError(rest), nil
	case ':':
		return strconv.ParseInt(rest, 10, 64)
	case '$', '*':
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 {
			return nil, err
		}
		if kind == '$' {
			return c.bulk(n)
		}
		return c.array(n)
	default:
		return nil, fmt.Errorf("no RESP2 reply: %q", line)
	}
}

func (c *Conn) bulk(n int) (any, error) {
	data := make([]byte, n+len("\r\n"))
	if _, err := io.ReadFull(c.read, data); err != nil {
		return nil, err
	}
	return string(data[:n]), nil
}

func (c *Conn) array(n int) (any, error) {
	items := make([]any, n)
	for i := range items {
		item, err := c.reply()
		if err != nil {
			return nil, err
		}
		items[i] = item
	}
	return items, nil
}

// Do sends one command, on a connection of its own, and returns what Conn.Do
// returns. It gives up after five seconds.
func (s *Server) Do(args ...string) (any, error) {
	return s.do(context.Background(), args...)
}

func (s *Server) do(ctx context.Context, args ...string) (any, error) {
	ctx, cancel := context.WithTimeout(ctx, doTimeout)
	defer cancel()
	c, err := s.Dial(ctx)
	if err == nil {
		defer c.Close()
		var reply any
		if reply, err = c.Do(args...); err == nil {
			return reply, nil
		}
	}
	if _, replied := errors.AsType[ReplyError](err); replied {
		return nil, err
	}
	return nil, fmt.Errorf("redistest: %s to %s: %w", strings.Join(args[:min(2, len(args))], " "), s.Addr(), err)
}

// text is do for commands that reply with a string.
func (s *Server) text(ctx context.Context, args ...string) (string, error) {
	reply, err := s.do(ctx, args...)
	if err != nil {
		return "", err
	}
	str, ok := reply.(string)
	if !ok {
		return "", fmt.Errorf("redistest: %s replied with a %T", args[0], reply)
	}
	return str, nil
}

// list is do for commands that reply with an array.
func (s *Server) list(ctx context.Context, args ...string) ([]any, error) {
	reply, err := s.do(ctx, args...)
	if err != nil {
		return nil, err
	}
	items, ok := reply.([]any)
	if !ok {
		return nil, fmt.Errorf("redistest: %s replied with a %T", args[0], reply)
	}
	return items, nil
}
