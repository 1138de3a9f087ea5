package main

import (
	"context"
	"errors"
	"net"
	"net/http"

	"connectrpc.com/connect"
	"github.com/perdure/perdure"
	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
	"github.com/perdure/perdure/proto/perdure/v1/perdurev1connect"
	"github.com/perdure/perdure/server"
	"golang.org/x/sync/errgroup"
)

// serveStage is what `perdure serve` serves, over the embedded memory store,
// beside Connect handlers of the same service that do next to nothing. Callers
// and servers share this process.
type serveStage struct {
	options options
	store   *perdure.Store
	ids     []string

	stop    context.CancelFunc
	serving *errgroup.Group
	perdure *endpoint
	nothing *endpoint // answers with an empty message
	ready   *endpoint // answers with a session that it need not look for
}

// compressFrom keeps the handlers beside perdure from packing replies that
// perdure does not pack: by default Connect packs all.
const compressFrom = 16 << 10

func newServeStage(o options) *serveStage { return &serveStage{options: o} }

func (s *serveStage) trials() []trial {
	return []trial{
		s.contest("serve, GetSession by HTTP/JSON", (*endpoint).getJSON),
		s.contest("serve, GetSession by gRPC", (*endpoint).getGRPC),
	}
}

func (s *serveStage) contest(name string, get func(e *endpoint, ctx context.Context, id string) error) trial {
	at := func(name string, target float64, of func() *endpoint) side {
		return side{name: name, target: target, start: always(func(ctx context.Context, w *worker) error {
			return get(of(), ctx, s.ids[w.rng.IntN(len(s.ids))])
		})}
	}
	return trial{name: name, run: newContest(s.options, name, meter{},
		at("perdure", 0, func() *endpoint { return s.perdure }),
		at("empty handler", 0.5, func() *endpoint { return s.nothing }),
		at("handler with a ready session", 0, func() *endpoint { return s.ready }),
	).run}
}

func (s *serveStage) open(ctx context.Context) error {
	population, err := newPopulation(ctx)
	if err != nil {
		return err
	}
	if s.store, err = openMemory(); err != nil {
		return err
	}
	s.ids, err = createMany(ctx, s.store, s.options.goroutines, s.options.sessions, func(i int) perdure.Data {
		return data(userID(i/sessionsPerUser), population.metadata)
	})
	if err != nil {
		return err
	}
	ctx, s.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.serving = new(errgroup.Group)
	daemon := server.New(s.store, server.Options{Drain: -1})
	if s.perdure, err = s.serve(func(l net.Listener) error { return daemon.Serve(ctx, l) }); err != nil {
		return err
	}
	if s.nothing, err = s.serveConnect(ctx, stub{answer: new(perdurev1.GetSessionResponse)}); err != nil {
		return err
	}
	answer, err := s.perdure.grpc.GetSession(ctx, &perdurev1.GetSessionRequest{Id: s.ids[0]})
	if err != nil {
		return err
	}
	s.ready, err = s.serveConnect(ctx, stub{answer: answer})
	return err
}

// serve starts a server on a free port.
func (s *serveStage) serve(serve func(net.Listener) error) (*endpoint, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.serving.Go(func() error { return serve(listener) })
	return newEndpoint(listener.Addr(), s.options.goroutines), nil
}

func (s *serveStage) serveConnect(ctx context.Context, handler stub) (*endpoint, error) {
	mux := http.NewServeMux()
	mux.Handle(perdurev1connect.NewSessionServiceHandler(handler, connect.WithCompressMinBytes(compressFrom)))
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := &http.Server{Handler: mux, Protocols: protocols}
	context.AfterFunc(ctx, func() { server.Close() })
	return s.serve(func(l net.Listener) error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
}

func (s *serveStage) close() error {
	for _, e := range []*endpoint{s.perdure, s.nothing, s.ready} {
		if e != nil {
			e.close()
		}
	}
	var errs []error
	if s.stop != nil {
		s.stop()
		errs = append(errs, s.serving.Wait())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	return errors.Join(errs...)
}

// stub is a handler with one answer. Its other methods are not called.
type stub struct {
	perdurev1connect.UnimplementedSessionServiceHandler
	answer *perdurev1.GetSessionResponse
}

// GetSession gives the answer.
func (s stub) GetSession(context.Context, *perdurev1.GetSessionRequest) (*perdurev1.GetSessionResponse, error) {
	return s.answer, nil
}
