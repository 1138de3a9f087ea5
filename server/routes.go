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
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "there is nothing here: a call is a POST to /perdure.v1.SessionService/CreateSession, …; health is at /livez, /readyz?verbose and /healthz", http.StatusNotFound)
	})
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
		line := &errorLine{ResponseWriter: w}
		next.ServeHTTP(line, r)
		line.end()
	})
}

// errorLine ends the line that an error in JSON is on, as the codec does for a reply: the
// prompt of a shell comes after it.
type errorLine struct {
	http.ResponseWriter
	failed bool
}

// Unwrap is for http.ResponseController.
func (l *errorLine) Unwrap() http.ResponseWriter { return l.ResponseWriter }

// Flush is for a stream.
func (l *errorLine) Flush() { _ = http.NewResponseController(l.ResponseWriter).Flush() }

func (l *errorLine) WriteHeader(status int) {
	header := l.Header()
	l.failed = status >= http.StatusBadRequest && header.Get("Content-Type") == "application/json" && header.Get("Content-Encoding") == ""
	if l.failed {
		header.Del("Content-Length")
	}
	l.ResponseWriter.WriteHeader(status)
}

func (l *errorLine) end() {
	if l.failed {
		_, _ = l.Write([]byte("\n")) // who has left does not read it
	}
}

// sessions implements the methods of SessionService. An error of the Store is
// returned as it is: the interceptor gives it a code.
type sessions struct{ *Server }

var _ perdurev1connect.SessionServiceHandler = sessions{}
