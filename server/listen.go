package server

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// ErrExposed says that an address can be reached from other machines, which is
// refused for want of authentication.
var ErrExposed = errors.New("is not on loopback, and this version does not authenticate its callers; listen on 127.0.0.1 and put an authenticating proxy in front")

// Listen opens the address, host:port. All that the host stands for must be
// loopback; else the error is an ErrExposed.
func Listen(ctx context.Context, address string) (net.Listener, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("address %q: %w", address, err)
	}
	if host == "" {
		return nil, fmt.Errorf("address %q, which means every interface, %w", address, ErrExposed)
	}
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, ip := range ips {
		if !ip.IP.IsLoopback() {
			return nil, fmt.Errorf("address %q %w", address, ErrExposed)
		}
	}
	// The address that was looked at, not the name: it might change its mind.
	var config net.ListenConfig
	return config.Listen(ctx, "tcp", net.JoinHostPort(ips[0].String(), port))
}
