package server

import (
	"net/http"
	"strings"

	"connectrpc.com/connect"
	"connectrpc.com/grpchealth"
	"connectrpc.com/grpcreflect"

	"github.com/perdure/perdure/proto/perdure/v1/perdurev1connect"
)

// compressFrom is the least size of a reply that is worth compressing.
const compressFrom = 16 << 10

func (s *Server) routes() http.Handler {
	options := connect.WithHandlerOptions(
		connect.WithCodec(protoCodec{}),
		connect.WithCodec(jsonCodec{name: "json"}),
		connect.WithCodec(jsonCodec{name: "json; charset=utf-8"}),
		connect.WithReadMaxBytes(s.options.MaxRequest),
		connect.WithCompressMinBytes(compressFrom),
		connect.WithInterceptors(interceptor{server: s}),
	)
	reflector := grpcreflect.NewStaticReflector(perdurev1connect.SessionServiceName, grpchealth.HealthV1ServiceName)

	mux := http.NewServeMux()
	path, handler := perdurev1connect.NewSessionServiceHandler(sessions{s}, options)
	mux.Handle(path, explain(handler))
	mux.Handle(grpchealth.NewHandler(checker{s}, options))
	mux.Handle(grpcreflect.NewHandlerV1(reflector, options))
	mux.Handle(grpcreflect.NewHandlerV1Alpha(reflector, options))
	mux.HandleFunc("GET /livez", s.livez)
	mux.HandleFunc("GET /healthz", s.healthz)
	mux.HandleFunc("GET /readyz", s.readyz)
	return boundBody(bodyTimeout, s.guardOrigin(mux))
}

// explain tells who calls with curl, and no body or no content type, what to add:
// Connect would answer 405 or 415 without a word.
func explain(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			w.Header().Set("Allow", http.MethodPost)
			http.Error(w, "a call is a POST of JSON: curl -H 'Content-Type: application/json' -d '{…}' …", http.StatusMethodNotAllowed)
			return
		}
		if r.URL.Path == perdurev1connect.SessionServiceWatchSessionsProcedure && strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
			http.Error(w, "WatchSessions is a stream: call it by gRPC, gRPC-Web or the Connect protocol (application/connect+json)", http.StatusUnsupportedMediaType)
			return
		}
		if r.Header.Get("Content-Type") == "application/x-www-form-urlencoded" {
			http.Error(w, "send JSON with its content type: curl -H 'Content-Type: application/json' …", http.StatusUnsupportedMediaType)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// sessions implements the methods of SessionService. An error of the Store is
// returned as it is: the interceptor gives it a code.
type sessions struct{ *Server }

var _ perdurev1connect.SessionServiceHandler = sessions{}
