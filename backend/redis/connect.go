package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"os"
	"time"

	"github.com/redis/rueidis"
)

// connect makes a client. Where the server does not tell of changes, or may not
// be asked to, it is one without a near cache, and cached is false. Where what answers
// is no such server as the configuration says, that is an ErrInvalid.
func connect(ctx context.Context, o *Options, a *address, g *gate, changed func([]rueidis.RedisMessage)) (client rueidis.Client, cached bool, err error) {
	if client, cached, err = tryConnect(ctx, o, a, g, changed); err != nil {
		if option, bad := clientOption(o, a, newGate(false)); bad == nil {
			err = misconfigured(diagnosed(ctx, err, &option, a))
		}
	}
	return client, cached, err
}

func tryConnect(ctx context.Context, o *Options, a *address, g *gate, changed func([]rueidis.RedisMessage)) (client rueidis.Client, cached bool, err error) {
	option, err := clientOption(o, a, g)
	if err != nil {
		return nil, false, err
	}
	if o.NearCacheBytes > 0 {
		option.OnInvalidations = changed
		option.DisableCache = false
		client, err = dial(ctx, option)
		if err == nil && mayTrack(ctx, client, o.Timeout) {
			return client, true, nil
		}
		if err != nil && !errors.Is(err, rueidis.ErrNoCache) {
			return nil, false, err
		}
		if err == nil {
			client.Close()
		}
		o.Logger.Warn("redis does not tell this user of changes: there is no near cache", "allow", "+client|tracking +client|caching")
		option.OnInvalidations, option.DisableCache = nil, true
	}
	client, err = dial(ctx, option)
	return client, false, err
}

// connectOnce makes a connection like those of a client, and ends it.
func connectOnce(ctx context.Context, o *Options, a *address) error {
	option, err := clientOption(o, a, newGate(a.master != ""))
	if err != nil {
		return err
	}
	option.ForceSingleClient = a.master == ""
	client, err := dial(ctx, option)
	if err == nil {
		client.Close()
	}
	return err
}

// mayTrack reports whether the user may say which keys to track.
func mayTrack(ctx context.Context, client rueidis.Client, timeout time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	_, refused := rueidis.IsRedisErr(client.Do(ctx, tracked(client.B())).Error())
	return !refused
}

// dial runs until the client is connected or the context ends.
func dial(ctx context.Context, option rueidis.ClientOption) (rueidis.Client, error) {
	type answer struct {
		client rueidis.Client
		err    error
	}
	done := make(chan answer, 1)
	go func() {
		client, err := rueidis.NewClient(option)
		done <- answer{client, err}
	}()
	select {
	case a := <-done:
		if a.err != nil {
			if a.client != nil {
				a.client.Close()
			}
			return nil, failure(a.err)
		}
		return a.client, nil
	case <-ctx.Done():
		go func() {
			if a := <-done; a.err == nil {
				a.client.Close()
			}
		}()
		return nil, ended(ctx)
	}
}

// topologyInterval is how often a Cluster is asked who serves which slot, besides
// when it says that a slot has moved.
const topologyInterval = 10 * time.Second

func clientOption(o *Options, a *address, g *gate) (rueidis.ClientOption, error) {
	secure, err := tlsConfig(o, a)
	if err != nil {
		return rueidis.ClientOption{}, err
	}
	dialer := net.Dialer{Timeout: o.Timeout, KeepAlive: time.Second}
	option := rueidis.ClientOption{
		InitAddress:       a.hosts,
		AuthCredentialsFn: credentials(o, a),
		SelectDB:          a.database, ForceSingleClient: a.database != 0,
		ClientName: o.clientName,
		TLSConfig:  secure, Dialer: dialer,
		DialCtxFn:        g.dial,
		ConnWriteTimeout: o.Timeout,
		DisableRetry:     true,
		DisableCache:     true,
		NewCacheStoreFn:  func(rueidis.CacheStoreOption) rueidis.CacheStore { return discard{} },
		// A connection that the server ends is noticed at once.
		AlwaysPipelining: true,
		// One connection for all: calls that wait at the same time share a system
		// call, on both sides.
		PipelineMultiplex:  -1,
		ReadBufferEachConn: 1 << 17, WriteBufferEachConn: 1 << 17,
		ClusterOption: rueidis.ClusterOption{ShardsRefreshInterval: topologyInterval, MaxMovedRedirections: 8},
	}
	if a.master != "" {
		dialer.ControlContext = toSentinel
		option.Sentinel = rueidis.SentinelOption{MasterSet: a.master, TLSConfig: secure, Dialer: dialer, ClientName: o.clientName}
	}
	return option, nil
}

// tlsConfig is the configuration that the options ask for, or nil.
func tlsConfig(o *Options, a *address) (*tls.Config, error) {
	if !o.secure(a) {
		return nil, nil
	}
	config := &tls.Config{}
	if o.TLS != nil {
		config = o.TLS.Clone()
	}
	if config.MinVersion == 0 {
		config.MinVersion = tls.VersionTLS12
	}
	if o.CAFile != "" {
		authorities, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, invalid("CAFile", "cannot be read: %v", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, invalid("CAFile", "%s holds no certificate in PEM", o.CAFile)
		}
	}
	if o.CertFile != "" {
		own, err := tls.LoadX509KeyPair(o.CertFile, o.KeyFile)
		if err != nil {
			return nil, invalid("CertFile", "and KeyFile cannot be used: %v", err)
		}
		config.Certificates = []tls.Certificate{own}
	}
	return config, nil
}

// secure reports whether TLS is asked for.
func (o *Options) secure(a *address) bool {
	return a.tls || o.TLS != nil || o.CAFile != "" || o.CertFile != ""
}
