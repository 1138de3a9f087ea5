package redis

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// message is a stream of RESP with so many messages, so many of them pushes.
type message struct {
	text             string
	messages, pushes int64
}

func messages() []message {
	return []message{
		{"+OK\r\n", 1, 0}, {":1\r\n", 1, 0}, {"_\r\n", 1, 0}, {"#t\r\n", 1, 0}, {",1.5\r\n", 1, 0}, {"-ERR no\r\n", 1, 0},
		{"$0\r\n\r\n", 1, 0}, {"$-1\r\n", 1, 0}, {"$5\r\n$1\r\nx\r\n", 1, 0}, {"=7\r\ntxt:abc\r\n", 1, 0}, {"!3\r\nERR\r\n", 1, 0},
		{"*0\r\n", 1, 0}, {"*-1\r\n", 1, 0}, {"*2\r\n+a\r\n*1\r\n$1\r\nb\r\n", 1, 0}, {"%1\r\n+k\r\n~2\r\n:1\r\n:2\r\n", 1, 0},
		{"|1\r\n+a\r\n:1\r\n+OK\r\n", 1, 0}, {">2\r\n+invalidate\r\n*1\r\n$1\r\nk\r\n", 1, 1},
		{"*2\r\n+a\r\n>2\r\n+invalidate\r\n_\r\n+b\r\n", 1, 0}, {"-MOVED 1 h:1\r\n", 1, 0},
	}
}

// TestMessagesAreCountedInPieces cuts streams wherever they can be cut.
func TestMessagesAreCountedInPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var text strings.Builder
		var want message
		for range rapid.IntRange(1, 8).Draw(t, "length") {
			m := rapid.SampledFrom(messages()).Draw(t, "message")
			text.WriteString(m.text)
			want.messages, want.pushes = want.messages+m.messages, want.pushes+m.pushes
		}
		var s scanner
		var got message
		for rest := text.String(); rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			messages, pushes, err := s.scan([]byte(rest[:n]))
			if err != nil {
				t.Fatalf("%q: %v", text.String(), err)
			}
			got.messages, got.pushes = got.messages+messages, got.pushes+pushes
			rest = rest[n:]
		}
		if got.messages != want.messages || got.pushes != want.pushes {
			t.Fatalf("%q has %d messages and %d pushes, want %d and %d", text.String(), got.messages, got.pushes, want.messages, want.pushes)
		}
	})
}

// garbage is what makes the client panic, or take memory without end.
func garbage() map[string]string {
	return map[string]string{
		"no message":         "HTTP/1.1 400 Bad Request\r\n\r\n",
		"a zero byte":        "\x00\r\n",
		"no carriage return": "+OK\n",
		"an empty line":      "\r\n",
		"a negative string":  "$-7\r\n",
		"a negative array":   "*-7\r\n",
		"a huge string":      "$99999999999999\r\n",
		"a huge array":       "*99999999\r\n",
		"a word for a size":  "$x\r\n",
		"a move to nowhere":  "-MOVED\r\n",
		"an ask of nobody":   "*1\r\n-ASK 5\r\n",
		"an endless line":    "+" + strings.Repeat("x", maxLine+10),
		"an extra reply":     "+OK\r\n+OK\r\n",
	}
}

func TestGarbageEndsTheConnection(t *testing.T) {
	for name, text := range garbage() {
		t.Run(name, func(t *testing.T) {
			near, far := net.Pipe()
			defer far.Close()
			go func() {
				io.ReadFull(far, make([]byte, len("*1\r\n$4\r\nPING\r\n")))
				far.Write([]byte(text))
			}()
			g := newGuard(near, nil)
			if _, err := g.Write([]byte("*1\r\n$4\r\nPING\r\n")); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, g); !errors.Is(err, errGarbage) {
				t.Errorf("got %v", err)
			}
			if _, err := near.Write(nil); !errors.Is(err, io.ErrClosedPipe) {
				t.Errorf("the connection is open: %v", err)
			}
		})
	}
}

// FuzzScanner: nothing makes it panic, and the pieces do not matter.
func FuzzScanner(f *testing.F) {
	for _, m := range messages() {
		f.Add([]byte(m.text), 1)
	}
	for _, text := range garbage() {
		f.Add([]byte(text), 3)
	}
	f.Fuzz(func(t *testing.T, stream []byte, cut int) {
		var whole, pieces scanner
		n, _, err := whole.scan(stream)
		if len(stream) == 0 {
			return
		}
		at := int(uint(cut) % uint(len(stream)))
		m1, _, err1 := pieces.scan(stream[:at])
		var m2 int64
		err2 := err1
		if err1 == nil {
			m2, _, err2 = pieces.scan(stream[at:])
		}
		if (err == nil) != (err2 == nil) || err == nil && n != m1+m2 {
			t.Errorf("%q has %d messages, %v; cut at %d it has %d, %v", stream, n, err, at, m1+m2, err2)
		}
	})
}
