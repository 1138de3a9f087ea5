package server

import (
	"net/http"
	"time"
)

// bodyTimeout is how long the body of a request may take to arrive, however large
// it is: a client that sends the header and then nothing must not hold a
// connection for ever (OWASP: slow HTTP attacks).
const bodyTimeout = 30 * time.Second

// boundBody ends requests whose body has not arrived in time. The reply may take as
// long as it wants: net/http lifts the bound with the last byte of the body.
func boundBody(timeout time.Duration, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Body != nil && r.Body != http.NoBody {
			// A connection that knows no deadlines is one of the embedding program's own.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(timeout))
		}
		next.ServeHTTP(w, r)
	})
}
