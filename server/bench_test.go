package server_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
	"github.com/perdure/perdure/proto/perdure/v1/perdurev1connect"
	"github.com/perdure/perdure/server"
)

// empty is a Connect handler that does nothing: what perdure is measured by.
type empty struct {
	perdurev1connect.UnimplementedSessionServiceHandler
}

func (empty) GetSession(context.Context, *perdurev1.GetSessionRequest) (*perdurev1.GetSessionResponse, error) {
	return &perdurev1.GetSessionResponse{}, nil
}

// BenchmarkGetSession compares GetSession of a session of about 400 bytes with
// the empty handler, by the time that the handler takes and over loopback.
func BenchmarkGetSession(b *testing.B) {
	backend, err := local.Open(local.Options{})
	if err != nil {
		b.Fatal(err)
	}
	store, err := perdure.New(backend, perdure.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer store.Close()
	session, err := store.Create(b.Context(), perdure.Data{
		UserID: "user-000001", Username: "ada.lovelace", Roles: []string{"user", "admin"},
		Metadata: map[string]any{"userAgent": strings.Repeat("m", 200), "ip": "203.0.113.7", "tenant": 17, "flags": []string{"beta", "mfa"}},
	})
	if err != nil {
		b.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle(perdurev1connect.NewSessionServiceHandler(empty{}))
	for name, handler := range map[string]http.Handler{"empty": mux, "perdure": server.New(store, server.Options{}).Handler()} {
		b.Run("handler/json/"+name, func(b *testing.B) { benchHandler(b, handler, session.ID) })
		b.Run("loopback/json/"+name, func(b *testing.B) { benchLoopback(b, handler, session.ID, connect.WithProtoJSON()) })
		b.Run("loopback/grpc/"+name, func(b *testing.B) { benchLoopback(b, handler, session.ID, connect.WithGRPC()) })
	}
}

func benchHandler(b *testing.B, handler http.Handler, id string) {
	body := fmt.Appendf(nil, `{"id":%q}`, id)
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, perdurev1connect.SessionServiceGetSessionProcedure, bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Code, w.Body)
		}
	}
}

func benchLoopback(b *testing.B, handler http.Handler, id string, option connect.ClientOption) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{Handler: handler, Protocols: protocols}
	go s.Serve(listener)
	defer s.Close()
	client := perdurev1connect.NewSessionServiceClient(h2c(), "http://"+listener.Addr().String(), option)
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := client.GetSession(context.Background(), &perdurev1.GetSessionRequest{Id: id}); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
