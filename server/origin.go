package server

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	connectcors "connectrpc.com/cors"
	"github.com/rs/cors"
)

// preflightAge is how long a browser need not ask again whether a page may call.
const preflightAge = 10 * time.Minute

// guardOrigin refuses what a browser sends for a page from elsewhere: a name
// that an attacker points at 127.0.0.1 must not open the sessions to their page.
// Programs send no Origin and pass. A page that may call is told so, as browsers
// ask for it (Fetch Standard, CORS protocol).
func (s *Server) guardOrigin(next http.Handler) http.Handler {
	shared := cors.New(cors.Options{
		AllowOriginFunc: s.trusts,
		AllowedMethods:  connectcors.AllowedMethods(),
		AllowedHeaders:  append(connectcors.AllowedHeaders(), "Authorization"),
		ExposedHeaders:  connectcors.ExposedHeaders(),
		MaxAge:          int(preflightAge.Seconds()),
	}).Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); origin != "" && !s.trusts(origin) {
			http.Error(w, "pages of this origin may not call; the operator can allow it in PERDURE_ALLOWED_ORIGINS", http.StatusForbidden)
			return
		}
		shared.ServeHTTP(w, r)
	})
}

func (s *Server) trusts(origin string) bool {
	if slices.Contains(s.options.Origins, origin) {
		return true
	}
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	host := u.Hostname()
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}
