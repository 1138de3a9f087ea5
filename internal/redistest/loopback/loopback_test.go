package loopback_test

import (
	"errors"
	"net"
	"runtime"
	"strconv"
	"syscall"
	"testing"

	"github.com/perdure/perdure/internal/redistest/loopback"
)

func reserve(t *testing.T, offsets ...int) *loopback.Port {
	t.Helper()
	port, err := loopback.Reserve(offsets...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(port.Release)
	return port
}

func TestReservedPortCanBeListenedOnAgainAndAgain(t *testing.T) {
	port := reserve(t)
	for range 3 {
		if _, err := net.Dial("tcp", port.Addr()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Fatalf("dialling a reserved port: %v, want connection refused", err)
		}
		l, err := net.Listen("tcp", port.Addr())
		if err != nil {
			t.Fatal(err)
		}
		if conn, err := net.Dial("tcp", port.Addr()); err != nil {
			t.Error(err)
		} else {
			conn.Close()
		}
		l.Close()
	}
}

func TestReservedPortsAreHandedOutOnce(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("ports are held on Linux only")
	}
	seen := make(map[int]bool)
	for range 500 {
		number := reserve(t).Number()
		if seen[number] {
			t.Fatalf("port %d was handed out twice", number)
		}
		seen[number] = true
	}
	for range 500 {
		l, err := net.Listen("tcp", net.JoinHostPort(loopback.Host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		if number := l.Addr().(*net.TCPAddr).Port; seen[number] {
			t.Fatalf("the kernel handed out port %d, which is reserved", number)
		}
	}
}

func TestReserveWithOffset(t *testing.T) {
	const offset = 10000
	for range 50 {
		port := reserve(t, offset)
		above := net.JoinHostPort(loopback.Host, strconv.Itoa(port.Number()+offset))
		l, err := net.Listen("tcp", above)
		if err != nil {
			t.Fatalf("the port %d above %d: %v", offset, port.Number(), err)
		}
		l.Close()
	}
}

func TestReserveAt(t *testing.T) {
	port := reserve(t)
	number := port.Number()
	port.Release()

	again, err := loopback.ReserveAt(number)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Release()
	if again.Number() != number {
		t.Fatalf("ReserveAt(%d) gave %d", number, again.Number())
	}

	l, err := net.Listen("tcp", again.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := loopback.ReserveAt(number); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("ReserveAt of a port that is listened on: %v, want address in use", err)
	}
}
