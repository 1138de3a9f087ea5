package redistest

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// BinaryVariable is the environment variable that names the server to run
// where Options.Binary does not: valkey-server, say, or another version.
const BinaryVariable = "PERDURE_TEST_REDIS_SERVER"

// Options says how a server is set up. The zero value is a server without
// passwords, in the clear, that keeps nothing on disk.
type Options struct {
	// TLS closes the plain port and asks every client for a certificate. The
	// certificates are made for this server alone: see CAFile, CertFile,
	// KeyFile and TLSConfig.
	TLS bool

	// Username creates an ACL user that may do everything, and switches the
	// default user off. It needs a Password.
	Username string

	// Password is that of Username, or without one that of the default user
	// (requirepass).
	Password string

	// Persist writes every command to the append-only file and syncs it before
	// the reply, so that a restart finds everything that was acknowledged.
	// Defaults to nothing being saved.
	Persist bool

	// Config holds further lines of redis.conf. They come last and so win.
	Config []string

	// Port fixes the port. Defaults to a free one.
	Port int

	// Binary is the server's executable, as a path or a name to be found in
	// PATH. Defaults to what BinaryVariable says, else to redis-server.
	Binary string
}

func (o Options) validate() error {
	if o.Username != "" && o.Password == "" {
		return errors.New("redistest: Username needs a Password")
	}
	if strings.ContainsAny(o.Username, " \t") {
		return errors.New("redistest: Username cannot hold spaces")
	}
	if o.Port < 0 || o.Port > 65535 {
		return fmt.Errorf("redistest: Port %d is out of range", o.Port)
	}
	for _, secret := range []string{o.Username, o.Password} {
		if strings.ContainsAny(secret, "\x00\r\n") {
			return errors.New("redistest: Username and Password cannot hold line breaks")
		}
	}
	return nil
}

// executable finds the server's binary.
func (o Options) executable() (string, error) {
	name := cmp.Or(o.Binary, os.Getenv(BinaryVariable), "redis-server")
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("redistest: cannot run %s: %w; install the Debian package redis-server "+
			"(apt-get install redis-server), or name another server in %s", name, err, BinaryVariable)
	}
	return path, nil
}

// replication returns the lines by which a replica made with these options is
// let in by a master made with them.
func (o Options) replication() []string {
	var lines []string
	if o.Username != "" {
		lines = append(lines, "masteruser "+quote(o.Username))
	}
	if o.Password != "" {
		lines = append(lines, "masterauth "+quote(o.Password))
	}
	if o.TLS {
		lines = append(lines, "tls-replication yes")
	}
	return lines
}
