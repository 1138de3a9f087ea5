package redis

import (
	"net"
	"net/url"
	"strconv"
	"strings"
)

// address is what a URL says.
type address struct {
	hosts              []string // host:port, or the path of a socket
	username, password string
	database           int
	tls                bool
	master             string // the name that Sentinels know it by
	prefix             string

	sentinelUsername, sentinelPassword string
}

// parseURL reads a URL as Options describes it. Its errors are ErrInvalid and
// repeat nothing that could be part of a password. Package net/url does not take
// several hosts.
func parseURL(text string) (a address, err error) {
	text = strings.TrimSpace(text) // files end with a line break
	scheme, rest, ok := strings.Cut(text, "://")
	switch {
	case text == "":
		return a, invalid("URL", "is missing; it looks like redis://user:password@host:6379/0")
	case !ok || !schemes[scheme]:
		return a, invalid("URL", "does not begin with redis:// or rediss://, valkey:// or valkeys://, or unix://")
	}
	a.tls = scheme == "rediss" || scheme == "valkeys"
	rest, query, _ := strings.Cut(rest, "?")
	authority, path, _ := strings.Cut(rest, "/")
	if strings.Contains(path, "@") || strings.Contains(query, "@") && !strings.Contains(authority, "@") || strings.Contains(text, "#") {
		return a, invalid("URL", "has a '/', '?' or '#' before an '@', or a '#'; in a user or password write them as %%2F, %%3F and %%23")
	}
	socket := scheme == socketScheme
	if err := a.parseQuery(query, socket); err != nil {
		return a, err
	}
	hosts := authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		hosts = authority[at+1:]
		if err := a.parseUser(authority[:at]); err != nil {
			return a, err
		}
	}
	if socket {
		return a, a.parseSocket(hosts, path)
	}
	if err := a.parseHosts(hosts); err != nil {
		return a, err
	}
	return a, a.parseDatabase(path)
}

const socketScheme = "unix"

var schemes = map[string]bool{"redis": true, "rediss": true, "valkey": true, "valkeys": true, socketScheme: true}

// parseSocket takes a path that began with a slash, which is gone.
func (a *address) parseSocket(host, path string) error {
	switch {
	case host != "" || path == "":
		return invalid("URL", "does not have the path of a socket after unix://, as in unix:///run/redis/redis.sock")
	case a.master != "":
		return invalid("URL", "has a master_name, and Sentinels are not reached by a socket")
	}
	a.hosts = []string{"/" + path}
	return nil
}

// isSocket reports whether a host is the path of a socket.
func isSocket(host string) bool { return strings.HasPrefix(host, "/") }

func (a *address) parseUser(user string) (err error) {
	name, password, _ := strings.Cut(user, ":")
	if a.username, err = url.PathUnescape(name); err == nil {
		a.password, err = url.PathUnescape(password)
	}
	if err != nil {
		return invalid("URL", "has a '%%' in its user or password that two hex digits do not follow; write it as %%25")
	}
	return nil
}

func (a *address) parseHosts(hosts string) error {
	port := "6379"
	if a.master != "" {
		port = "26379"
	}
	for host := range strings.SplitSeq(hosts, ",") {
		if !strings.Contains(host[strings.LastIndexByte(host, ']')+1:], ":") {
			host += ":" + port
		}
		name, number, err := net.SplitHostPort(host)
		if n, bad := strconv.ParseUint(number, 10, 16); err != nil || bad != nil || n == 0 || name == "" || strings.ContainsAny(name, "% \t\r\n") {
			return invalid("URL", "has a host that is not of the form host:port; several are separated by commas, and an IPv6 address is in brackets")
		}
		a.hosts = append(a.hosts, net.JoinHostPort(name, number))
	}
	return nil
}

func (a *address) parseDatabase(path string) (err error) {
	if path == "" {
		return nil
	}
	if a.database, err = strconv.Atoi(path); err != nil || a.database < 0 || path != strconv.Itoa(a.database) {
		return invalid("URL", "has a path that is not the number of a database, such as /0")
	}
	if a.database > 0 && len(a.hosts) > 1 && a.master == "" {
		return invalid("URL", "names a database of a Cluster, which has only the database 0; with Sentinels add ?master_name=")
	}
	return nil
}

func (a *address) parseQuery(query string, socket bool) error {
	values, err := url.ParseQuery(query)
	if err != nil {
		return invalid("URL", "has parameters that cannot be read; a '%%' is written as %%25")
	}
	if db := values.Get("db"); socket && db != "" {
		values.Del("db")
		if err := a.parseDatabase(db); err != nil {
			return err
		}
	}
	for name, value := range values {
		field := map[string]*string{
			"master_name": &a.master, "prefix": &a.prefix,
			"sentinel_username": &a.sentinelUsername, "sentinel_password": &a.sentinelPassword,
		}[name]
		if field == nil || len(value) != 1 || value[0] == "" {
			return invalid("URL", "has an unknown, empty or repeated parameter; there are master_name, prefix, sentinel_username and sentinel_password, and of unix:// db")
		}
		*field = value[0]
	}
	return nil
}
