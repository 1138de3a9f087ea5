package faultproxy_test

import (
	"net"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/faultproxy"
	"github.com/perdure/perdure/internal/redistest"
)

func TestCutAfter(t *testing.T) {
	whole := reply("hello")
	for n := range len(whole) + 1 {
		upstream, p := start(t)
		c, other := dial(t, p), dial(t, p)
		c.roundTrip("before")
		other.roundTrip("other")
		p.CutAfter(n)
		c.send("hello")
		c.expectEnd(whole[:n])
		if !upstream.has("hello") {
			t.Fatal("the request did not arrive")
		}
		other.roundTrip("still here")
		dial(t, p).roundTrip("again")
		if s := p.Stats(); s.Armed != 0 || s.Fired != 1 {
			t.Fatalf("stats are %+v, want one fault fired", s)
		}
	}
}

func TestCutAfterInThePipeline(t *testing.T) {
	_, p := start(t)
	c := dial(t, p)
	c.roundTrip("before")
	p.CutAfter(len(reply("one")) + 3)
	c.send("one", "two", "three")
	c.expectEnd(reply("one") + reply("two")[:3])
}

func TestInject(t *testing.T) {
	const loading = "-LOADING Redis is loading the dataset in memory\r\n"
	_, p := start(t)
	c := dial(t, p)
	c.roundTrip("before")
	p.Inject([]byte(loading))
	p.Inject([]byte("\x00garbage"))
	big := strings.Repeat("x", 200_000)
	c.send("one", big, "three")
	c.expect(loading + "\x00garbage" + reply("three"))
	if s := p.Stats(); s.Armed != 0 || s.Fired != 2 {
		t.Fatalf("stats are %+v, want two faults fired", s)
	}
	c.roundTrip("after")
}

func TestInjectThenCut(t *testing.T) {
	_, p := start(t)
	c := dial(t, p)
	p.Inject([]byte("-BUSY\r\n"))
	p.CutAfter(2)
	c.send("one", "two")
	c.expectEnd("-BUSY\r\n" + reply("two")[:2])
}

func TestHealDisarms(t *testing.T) {
	_, p := start(t)
	c := dial(t, p)
	p.CutAfter(0)
	p.Inject(nil)
	if s := p.Stats(); s.Armed != 2 {
		t.Fatalf("stats are %+v, want two faults armed", s)
	}
	heal(t, p)
	c.roundTrip("hello")
	if s := p.Stats(); s.Armed != 0 || s.Fired != 0 {
		t.Fatalf("stats are %+v, want none", s)
	}
}

// TestInjectSparesPushMessages has Redis send an invalidation right before the
// reply that is replaced.
func TestInjectSparesPushMessages(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	p := faultproxy.Start(t, server.Addr())
	c := dial(t, p)
	c.send("CLIENT TRACKING on", "HELLO 3", "SET key 1", "GET key", "PING")
	eventually(t, "the connection is set up", func() bool {
		buf := make([]byte, 4096)
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return strings.HasSuffix(string(buf[:n]), "+PONG\r\n")
	})

	p.Inject([]byte("-LOADING\r\n"))
	if _, err := server.Do("SET", "key", "2"); err != nil {
		t.Fatal(err)
	}
	c.expect(">2\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\nkey\r\n")
	c.send("PING", "GET key")
	c.expect("-LOADING\r\n$1\r\n2\r\n")
}

func TestInjectIntoAStreamThatIsNotRESP(t *testing.T) {
	upstream, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer upstream.Close()
	p := faultproxy.Start(t, upstream.Addr().String())
	c := dial(t, p)
	server, err := upstream.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	server.Write([]byte("\x16hello"))
	c.expect("\x16hello")
	p.Inject([]byte("nothing of the kind"))
	server.Write([]byte("\x16again"))
	c.expect("nothing of the kind")
	server.Write([]byte("\x16more"))
	c.expect("\x16more")
}
