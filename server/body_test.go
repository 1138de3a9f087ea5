package server

import (
	"bufio"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// pipes is a listener whose connections are in memory, for virtual time.
type pipes struct {
	connections chan net.Conn
	once        sync.Once
	closed      chan struct{}
}

func newPipes() *pipes {
	return &pipes{connections: make(chan net.Conn), closed: make(chan struct{})}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.connections:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { p.once.Do(func() { close(p.closed) }); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.connections <- server
	return client
}

// inBubble serves a store in memory, in virtual time.
func inBubble(t *testing.T, logger *slog.Logger, f func(t *testing.T, p *pipes, store *perdure.Store)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		backend, err := local.Open(local.Options{})
		if err != nil {
			t.Fatal(err)
		}
		store, err := perdure.New(backend, perdure.Options{})
		if err != nil {
			t.Fatal(err)
		}
		p := newPipes()
		web := &http.Server{Handler: New(store, Options{Logger: logger}).Handler(), ReadHeaderTimeout: readHeaderTimeout}
		served := make(chan struct{})
		go func() { web.Serve(p); close(served) }()
		f(t, p, store)
		web.Close()
		<-served
		store.Close()
		time.Sleep(3 * failureInterval) // until nothing is left to count
	})
}

const service = "/perdure.v1.SessionService/"

// A request whose body never comes ends.
func TestBodyThatNeverComes(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, p *pipes, _ *perdure.Store) {
		for name, sent := range map[string]string{
			"nothing of it": "Content-Length: 100\r\n\r\n",
			"half of it":    "Content-Length: 100\r\n\r\n{\"userId\":",
			"a chunk of it": "Transfer-Encoding: chunked\r\n\r\n5\r\n{\"use\r\n",
		} {
			c := p.dial()
			began := time.Now()
			c.SetDeadline(began.Add(time.Hour))
			if _, err := io.WriteString(c, "POST "+service+"CreateSession HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+sent); err != nil {
				t.Fatal(err)
			}
			reply, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(began); took != bodyTimeout || reply.StatusCode < 400 {
				t.Errorf("with %s the answer was %s after %v, not an error after %v", name, reply.Status, took, bodyTimeout)
			}
			c.Close()
		}
	})
}

// A reply may take longer than the body of its request.
func TestStreamOutlivesTheBoundOnBodies(t *testing.T) {
	inBubble(t, nil, func(t *testing.T, p *pipes, store *perdure.Store) {
		c := p.dial()
		defer c.Close()
		c.SetDeadline(time.Now().Add(time.Hour))
		body := string(append([]byte{0, 0, 0, 0, 2}, `{}`...))
		go io.WriteString(c, "POST "+service+"WatchSessions HTTP/1.1\r\nHost: x\r\nContent-Type: application/connect+json\r\nContent-Length: 7\r\n\r\n"+body)
		reply, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		next := func() string {
			head := make([]byte, 5)
			if _, err := io.ReadFull(reply.Body, head); err != nil {
				t.Fatalf("the stream has ended: %v", err)
			}
			message := make([]byte, binary.BigEndian.Uint32(head[1:]))
			if _, err := io.ReadFull(reply.Body, message); err != nil {
				t.Fatal(err)
			}
			return string(message)
		}
		next()
		time.Sleep(10 * bodyTimeout)
		session, err := store.Create(t.Context(), perdure.Data{UserID: "ada"})
		if err != nil {
			t.Fatal(err)
		}
		if message := next(); !strings.Contains(message, session.ID) {
			t.Errorf("the stream says %s, want the creation of %s", message, session.ID)
		}
	})
}
