package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"connectrpc.com/connect"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
	"github.com/perdure/perdure/proto/perdure/v1/perdurev1connect"
	"github.com/perdure/perdure/server"
)

// rig is a server on a free port.
type rig struct {
	t     *testing.T
	url   string
	store *perdure.Store
	log   *buffer
}

// startRig serves the backend, in memory where it is nil, until the test ends.
func startRig(t *testing.T, backend perdure.Backend, options server.Options) *rig {
	t.Helper()
	r := &rig{t: t, store: newStore(t, backend), log: &buffer{}}
	options.Logger = slog.New(slog.NewJSONHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	options.Drain = -1
	listener, err := server.Listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.url = "http://" + listener.Addr().String()
	stopped := make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() { stopped <- server.New(r.store, options).Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-stopped; err != nil {
			t.Errorf("stopping: %v", err)
		}
	})
	return r
}

func newStore(t testing.TB, backend perdure.Backend) *perdure.Store {
	t.Helper()
	if backend == nil {
		backend = openMemory(t)
	}
	store, err := perdure.New(backend, perdure.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func openMemory(t testing.TB) *local.Backend {
	t.Helper()
	backend, err := local.Open(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return backend
}

// post calls a method as curl would.
func (r *rig) post(method, body string) (status int, reply map[string]any) {
	r.t.Helper()
	status, text := r.postRaw(method, body)
	decoder := json.NewDecoder(strings.NewReader(text))
	if err := decoder.Decode(&reply); err != nil {
		r.t.Fatalf("%s answered %d %q: %v", method, status, text, err)
	}
	return status, reply
}

func (r *rig) postRaw(method, body string) (status int, reply string) {
	r.t.Helper()
	return r.read(http.Post(r.url+"/"+perdurev1connect.SessionServiceName+"/"+method, "application/json", strings.NewReader(body)))
}

// session calls a method that returns a session.
func (r *rig) session(method, body string) map[string]any {
	r.t.Helper()
	status, reply := r.post(method, body)
	session, ok := reply["session"].(map[string]any)
	if status != http.StatusOK || !ok {
		r.t.Fatalf("%s answered %d %v", method, status, reply)
	}
	return session
}

// create makes a session and returns its id.
func (r *rig) create(user string) string {
	r.t.Helper()
	return r.session("CreateSession", `{"userId":"`+user+`"}`)["id"].(string)
}

// get fetches a plain page.
func (r *rig) get(path string) (status int, body string) {
	r.t.Helper()
	return r.read(http.Get(r.url + path))
}

// read takes in an answer.
func (r *rig) read(response *http.Response, err error) (status int, body string) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// client speaks to the server with the options' protocol.
func (r *rig) client(options ...connect.ClientOption) perdurev1connect.SessionServiceClient {
	client := h2c()
	r.t.Cleanup(client.CloseIdleConnections) // else a stop waits a second for it
	return perdurev1connect.NewSessionServiceClient(client, r.url, options...)
}

// h2c is a client for HTTP/2 without TLS, which gRPC needs.
func h2c() *http.Client {
	protocols := new(http.Protocols)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Client{Transport: &http.Transport{Protocols: protocols}}
}

// buffer is a log that can be read while it is written.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
