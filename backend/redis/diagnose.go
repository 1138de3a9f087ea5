package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/perdure/perdure"
)

// diagnosis bounds how long is looked at why a connection came to nothing, also
// where the context of the attempt is over.
const diagnosis = 300 * time.Millisecond

// diagnosed is the error of an attempt to connect that came to nothing. Where
// something listens there and the configuration does not fit it, it is a
// settingError: to wait would not help.
func diagnosed(ctx context.Context, err error, option *rueidis.ClientOption, a *address) error {
	known := errors.As(err, new(*settingError))
	if known && a.master == "" || errors.Is(err, context.Canceled) {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), diagnosis)
	defer cancel()
	if known {
		return noMaster(ctx, err, option, a) // it may be a Sentinel that says so
	}
	for _, host := range a.hosts {
		switch {
		case option.TLSConfig != nil && speaksPlain(ctx, host):
			return setting("the server on this port does not speak TLS: its address is redis://")
		case option.TLSConfig != nil:
			if refused := failure(handshake(ctx, host, option.TLSConfig)); errors.As(refused, new(*settingError)) {
				return refused
			}
		case option.TLSConfig == nil && speaksTLS(ctx, host):
			return setting("the server on this port speaks TLS: its address is rediss://")
		}
	}
	if a.master != "" {
		return noMaster(ctx, err, option, a)
	}
	return err
}

// speaksPlain reports whether a server answers in the clear.
func speaksPlain(ctx context.Context, host string) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", host)
	if err != nil {
		return false
	}
	defer conn.Close()
	deadline, _ := ctx.Deadline()
	if err := conn.SetDeadline(deadline); err != nil {
		return false
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	answer := make([]byte, len("+PONG"))
	n, err := conn.Read(answer)
	text := string(answer[:n])
	return err == nil && (strings.HasPrefix(text, "+PONG") || strings.HasPrefix(text, "-")) // NOAUTH, say
}

// speaksTLS reports whether a server begins a handshake, to whoever may then be
// let in. Nothing is sent over what it agrees on.
func speaksTLS(ctx context.Context, host string) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", host)
	if err != nil {
		return false
	}
	defer conn.Close()
	err = tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}).HandshakeContext(ctx)
	return err == nil || alerted(err)
}

// handshake returns why a server ends a TLS connection, if it does: since TLS 1.3 it
// says after the handshake that it wants another certificate.
func handshake(ctx context.Context, host string, config *tls.Config) error {
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", host)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(diagnosis / 3)); err != nil {
		return err
	}
	_, err = conn.Read(make([]byte, 1))
	return err
}

// alerted reports whether the other side of a TLS connection has ended it, and said
// why.
func alerted(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "remote error"
}

// noMaster asks the Sentinels: they may not know a master of this name, or be none.
func noMaster(ctx context.Context, err error, option *rueidis.ClientOption, a *address) error {
	name := a.master
	for _, host := range a.hosts {
		one := *option
		one.Dialer = option.Sentinel.Dialer
		one.InitAddress, one.Sentinel, one.ForceSingleClient, one.SelectDB = []string{host}, rueidis.SentinelOption{}, true, 0
		one.DisableCache, one.OnInvalidations = true, nil
		client, failed := dial(ctx, one)
		if failed != nil {
			if wrong := new(settingError); errors.As(failed, &wrong) && wrong.field == "URL" {
				return setting("the server that master_name takes for a Sentinel does not let this user in; "+
					"give it sentinel_username and sentinel_password, or leave master_name out if it is no Sentinel (%s)", host)
			} else if errors.As(failed, &wrong) {
				return failed
			}
			continue
		}
		defer client.Close()
		asked := client.Do(ctx, client.B().Arbitrary("SENTINEL", "GET-MASTER-ADDR-BY-NAME", name).Build()).Error()
		switch {
		case rueidis.IsRedisNil(asked):
			err = setting("the Sentinels do not watch a master of this name; correct master_name")
		case asked == nil:
			return err // it is known, and away
		case errors.As(failure(asked), new(*settingError)):
			return failure(asked)
		}
	}
	return err
}

// Verify returns an ErrInvalid if the server answers, and the configuration is such
// that it would never take a create or a logout: the user lacks a command or a key,
// say. A server that cannot be reached, or refuses writes for a time, is none.
func (b *Backend) Verify(ctx context.Context) error {
	err := b.Ping(ctx)
	if !errors.As(err, new(*settingError)) {
		return nil
	}
	if servers, failed := b.servers(ctx); failed == nil {
		for i := range servers {
			if servers[i].info["redis_mode"] == "sentinel" {
				return misconfigured(setting("it is a Sentinel; add ?master_name=, or give the server that it watches"))
			}
		}
	}
	return misconfigured(err)
}

// errEviction is the error of a server that evicts keys, where the options refuse it.
func errEviction(server, policy, advice string) error {
	return fmt.Errorf("%w: %w", ErrEviction, &perdure.InvalidError{
		Field: "RefuseEviction", Problem: fmt.Sprintf("is set, and maxmemory-policy of %s is %s; %s", server, policy, advice),
	})
}
