package server

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// guardOrigin refuses what a browser sends for a page from elsewhere: a name
// that an attacker points at 127.0.0.1 must not open the sessions to their page.
// Programs send no Origin and pass.
func (s *Server) guardOrigin(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); origin != "" && !s.trusts(origin) {
			http.Error(w, "pages of this origin may not call; the operator can allow it in PERDURE_ALLOWED_ORIGINS", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
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
