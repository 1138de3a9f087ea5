//go:build !linux

package loopback

import (
	"net"
	"strconv"
)

// hold is empty: outside Linux a bound socket keeps a server from listening.
type hold struct{}

// take finds out that a port is free at this moment.
func take(number int, _ bool) (hold, int, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(Host, strconv.Itoa(number)))
	if err != nil {
		return hold{}, 0, err
	}
	defer l.Close()
	return hold{}, l.Addr().(*net.TCPAddr).Port, nil
}

func (hold) release() {}
