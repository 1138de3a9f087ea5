package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"maps"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/perdure/perdure"
)

// ErrNotTold says that the server does not tell this user who else is connected to it.
var ErrNotTold = fmt.Errorf("%w: who else uses the session store (CLIENT LIST)", perdure.ErrDenied)

// clientName is what the connections of a backend are called: "perdure", the database
// and prefix whose sessions they are for, as a hash, which Open made them, and who runs
// on which machine.
func clientName(prefix string, database int) string {
	var own [4]byte
	rand.Read(own[:]) // never fails
	return strings.Join([]string{"perdure", space(prefix, database), hex.EncodeToString(own[:]), runner()}, ":")
}

func space(prefix string, database int) string {
	h := fnv.New32a()
	fmt.Fprintf(h, "%d %s", database, prefix)
	return fmt.Sprintf("%08x", h.Sum32())
}

// runner is the machine and the process, in characters that a client's name may have.
func runner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "?"
	}
	host = strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f && r != ':' {
			return r
		}
		return '-'
	}, host)
	return host[:min(len(host), 64)] + "/" + strconv.Itoa(os.Getpid())
}

// Others names the other backends that are connected to the same sessions now, in this
// process or another: by machine and process, and the machine's address. A server to
// which several of them lead through a proxy has no better name for them. It returns
// ErrNotTold where this user may not ask.
func (b *Backend) Others(ctx context.Context) ([]string, error) {
	if err := b.link.ready(ctx); err != nil {
		return nil, err
	}
	ctx, cancel := b.link.bound(ctx)
	defer cancel()
	others := map[string]bool{}
	for _, node := range b.link.client.Nodes() {
		text, err := node.Do(ctx, node.B().Arbitrary("CLIENT", "LIST").Build()).ToString()
		if isDenied(err) {
			return nil, ErrNotTold
		}
		if err != nil {
			return nil, b.link.failure(err)
		}
		for line := range strings.Lines(text) {
			if other, ok := b.other(line); ok {
				others[other] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(others)), nil
}

// other names whose connection a line of CLIENT LIST is, if that is another backend of
// the same sessions.
func (b *Backend) other(line string) (string, bool) {
	fields := map[string]string{}
	for field := range strings.FieldsSeq(line) {
		if name, value, ok := strings.Cut(field, "="); ok {
			fields[name] = value
		}
	}
	own := strings.SplitN(b.options.clientName, ":", 4)
	parts := strings.SplitN(fields["name"], ":", 4)
	if len(parts) != 4 || parts[0] != own[0] || parts[1] != own[1] || parts[2] == own[2] {
		return "", false
	}
	host, _, err := net.SplitHostPort(fields["addr"])
	if err != nil {
		host = fields["addr"]
	}
	return parts[3] + " at " + host, true
}
