// Package loopback reserves TCP ports of the loopback interface.
//
// The usual way to find a free port, listening on port zero and closing
// again, leaves a gap in which somebody else takes the port. Here a port is
// held by a socket that is bound and never listens: a connection to it is
// refused, the kernel hands it to nobody else, and a server that sets
// SO_REUSEADDR (Redis does, and so does every Go listener) can still listen on
// it, be stopped, and listen on it again.
//
// The holding works on Linux. Elsewhere a port is merely found, and whoever
// listens on it must be ready to find it taken.
package loopback

import (
	"errors"
	"fmt"
	"net"
	"strconv"
)

// Host is the address that all ports belong to.
const Host = "127.0.0.1"

// attempts bounds the search for a port: it is long only where neighbours of
// the port are asked for too and most of them are taken.
const attempts = 200

// Port is a reserved port. It is held until Release.
type Port struct {
	number int
	holds  []hold
}

// Reserve takes a free port. Where offsets are given, the ports that lie that
// far above it are free too and are held with it: a Redis Cluster node also
// listens 10000 above its own port.
func Reserve(offsets ...int) (*Port, error) {
	var failed error
	for range attempts {
		port, err := reserve(0, true, offsets)
		if err == nil {
			return port, nil
		}
		failed = err
	}
	return nil, fmt.Errorf("loopback: no free port in %d attempts: %w", attempts, failed)
}

// ReserveAt takes the port of the given number, and those above it by offsets.
// It is for a number that the caller knows to be free, because he used it
// before: another holder of the same port goes unnoticed, a listener does not.
func ReserveAt(number int, offsets ...int) (*Port, error) {
	port, err := reserve(number, false, offsets)
	if err != nil {
		return nil, fmt.Errorf("loopback: port %d: %w", number, err)
	}
	return port, nil
}

// Number returns the port's number.
func (p *Port) Number() int { return p.number }

// Addr returns the port's address, as host:port.
func (p *Port) Addr() string {
	return net.JoinHostPort(Host, strconv.Itoa(p.number))
}

// Release gives the port back. It may be called more than once.
func (p *Port) Release() {
	for _, h := range p.holds {
		h.release()
	}
	p.holds = nil
}

func reserve(number int, exclusive bool, offsets []int) (*Port, error) {
	first, number, err := take(number, exclusive)
	if err != nil {
		return nil, err
	}
	port := &Port{number: number, holds: []hold{first}}
	for _, offset := range offsets {
		above := number + offset
		if above < 1 || above > 65535 {
			port.Release()
			return nil, errors.New("no port that far above it")
		}
		h, _, err := take(above, exclusive)
		if err != nil {
			port.Release()
			return nil, err
		}
		port.holds = append(port.holds, h)
	}
	return port, nil
}
