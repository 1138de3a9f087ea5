// Package faultproxy is a TCP proxy that goes wrong on command, for tests of
// what a client makes of a network and a server that do.
//
//	proxy := faultproxy.Start(t, server.Addr())
//	store := open(t, proxy.Addr())
//	proxy.Blackhole(faultproxy.Both)
//	// ... what the store does while nothing gets through ...
//	proxy.Heal()
//
// A fault takes hold of connections that are open as well as of new ones, from
// the moment that the method which sets it returns: what a client sends after
// that meets it. Faults add up, and last until Heal; those on a single reply
// (CutAfter, Inject) go off once each, in the order in which they were set.
//
// The proxy reads RESP, as Redis and Valkey speak it, in order to know where a
// reply begins and ends: a fault on the next reply hits precisely that reply,
// also among pipelined ones, and never a push message of RESP3. Of a stream
// that is not RESP (TLS, for one) it takes whatever arrives at once for a
// reply.
package faultproxy
