package server_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/proto/perdure/v1/perdurev1connect"
	"github.com/perdure/perdure/server"
)

// ask fetches a page from a handler.
func ask(handler http.Handler, path string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func TestHealth(t *testing.T) {
	backend := &broken{Backend: openMemory(t)}
	r := startRig(t, backend, server.Options{})
	for path, want := range map[string]string{"/livez": "ok\n", "/readyz": "ok\n"} {
		if status, body := r.get(path); status != http.StatusOK || body != want {
			t.Errorf("%s answered %d %q", path, status, body)
		}
	}
	if status, body := r.get("/readyz?verbose"); status != http.StatusOK || !strings.Contains(body, "[+] store ok") || !strings.Contains(body, "[+] serving ok") {
		t.Errorf("verbose: %d %s", status, body)
	}
	backend.err = perdure.ErrUnavailable
	if status, _ := r.get("/livez"); status != http.StatusOK {
		t.Errorf("without its store the process is alive, and answered %d", status)
	}
	if status, body := r.get("/readyz"); status != http.StatusServiceUnavailable || body != "not ready\n" {
		t.Errorf("without its store: %d %q", status, body)
	}
	if status, body := r.get("/readyz?verbose"); status != http.StatusServiceUnavailable || !strings.Contains(body, "[-] store failed") {
		t.Errorf("verbose without its store: %d %s", status, body)
	}
}

func TestHealthByGRPC(t *testing.T) {
	backend := &broken{Backend: openMemory(t)}
	r := startRig(t, backend, server.Options{})
	transport := h2c()
	t.Cleanup(transport.CloseIdleConnections)
	client := grpchealth.NewClient(transport, r.url, connect.WithGRPC())
	check := func(service string) grpchealth.Status {
		t.Helper()
		reply, err := client.Check(t.Context(), &grpchealth.CheckRequest{Service: service})
		if err != nil {
			t.Fatal(err)
		}
		return reply.Status
	}
	if a, b := check(""), check(perdurev1connect.SessionServiceName); a != grpchealth.StatusServing || b != grpchealth.StatusServing {
		t.Errorf("health is %v and %v", a, b)
	}
	backend.err = perdure.ErrUnavailable
	if status := check(""); status != grpchealth.StatusNotServing {
		t.Errorf("without its store health is %v", status)
	}
	if _, err := client.Check(t.Context(), &grpchealth.CheckRequest{Service: "nobody"}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Errorf("health of a service that is not there: %v", err)
	}
}

func TestReflection(t *testing.T) {
	r := startRig(t, nil, server.Options{})
	transport := h2c()
	t.Cleanup(transport.CloseIdleConnections)
	stream := grpcreflect.NewClient(transport, r.url, connect.WithGRPC()).NewStream(t.Context())
	defer stream.Close()
	names, err := stream.ListServices()
	if err != nil || len(names) != 2 {
		t.Fatal(names, err)
	}
	if files, err := stream.FileContainingSymbol("perdure.v1.SessionService.WatchSessions"); err != nil || len(files) == 0 {
		t.Error(files, err)
	}
}

// TestHealthzWithoutFailover says how the embedded store is, by the field that it has
// with failover.
func TestHealthzWithoutFailover(t *testing.T) {
	backend := &broken{Backend: openMemory(t)}
	r := startRig(t, backend, server.Options{})
	if status, body := r.get("/healthz"); status != http.StatusOK || strings.TrimSpace(body) != `{"state":"healthy","backend":"memory"}` {
		t.Errorf("%d %s", status, body)
	}
	backend.err = fmt.Errorf("%w: %s", perdure.ErrUnavailable, secret)
	if status, body := r.get("/healthz"); status != http.StatusServiceUnavailable || !strings.Contains(body, `"state":"unhealthy"`) || strings.Contains(body, secret) {
		t.Errorf("%d %s", status, body)
	}
}
