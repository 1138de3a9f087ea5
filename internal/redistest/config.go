package redistest

import (
	"fmt"
	"strings"

	"github.com/perdure/perdure/internal/redistest/loopback"
)

// profile is what the kind of a server adds to its options.
type profile struct {
	dir      string         // its own directory; a temporary one when empty
	port     *loopback.Port // reserved already; reserved at the start when nil
	identity *identity      // shared with other servers; made when nil and TLS is asked for
	sentinel bool           // run as a sentinel
	lines    []string       // configuration lines of its kind
}

// configuration renders a server's redis.conf.
func (s *Server) configuration() string {
	lines := []string{"bind " + loopback.Host, "dir " + quote(s.dataDir())}
	lines = append(lines, s.listening()...)
	if !s.profile.sentinel {
		lines = append(lines, s.options.storing()...)
	}
	lines = append(lines, s.options.access()...)
	lines = append(lines, s.profile.lines...)
	lines = append(lines, s.options.Config...)
	return strings.Join(lines, "\n") + "\n"
}

func (s *Server) listening() []string {
	if s.identity == nil {
		return []string{fmt.Sprintf("port %d", s.port.Number())}
	}
	return []string{
		"port 0",
		fmt.Sprintf("tls-port %d", s.port.Number()),
		"tls-ca-cert-file " + quote(s.identity.CAFile()),
		"tls-cert-file " + quote(s.identity.serverCertFile()),
		"tls-key-file " + quote(s.identity.serverKeyFile()),
		"tls-auth-clients yes",
	}
}

// storing returns the lines on persistence, and those that let a replica catch
// up at once instead of after the seconds that suit a machine room.
func (o Options) storing() []string {
	lines := []string{
		`save ""`,
		"repl-diskless-sync yes",
		"repl-diskless-sync-delay 0",
		"repl-ping-replica-period 1",
	}
	if o.Persist {
		return append(lines, "appendonly yes", "appendfsync always")
	}
	return append(lines, "appendonly no")
}

func (o Options) access() []string {
	switch {
	case o.Username != "":
		return []string{
			"user default off",
			"user " + quote(o.Username) + " on " + quote(">"+o.Password) + " allkeys allchannels allcommands",
		}
	case o.Password != "":
		return []string{"requirepass " + quote(o.Password)}
	default:
		return nil
	}
}

// quote writes one argument of a configuration line.
func quote(arg string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(arg) {
		switch c := arg[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&b, `\x%02x`, c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
