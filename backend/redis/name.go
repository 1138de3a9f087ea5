package redis

import (
	"fmt"
	"slices"
	"strings"
)

// StoreName says which store Options.URL and a prefix mean, in one line and without
// secrets: the hosts, in order, the name that Sentinels know the master by, the database
// and the prefix, which the URL may name itself. It is to tell stores apart; a store
// that is reached under two names has two.
func StoreName(rawURL, prefix string) (string, error) {
	a, err := parseURL(rawURL)
	if err != nil {
		return "", err
	}
	if a.prefix != "" {
		prefix = a.prefix
	}
	hosts := slices.Compact(slices.Sorted(slices.Values(a.hosts)))
	name := strings.Join(hosts, ",")
	if !isSocket(name) {
		name = strings.ToLower(name)
	}
	if a.master != "" {
		name += fmt.Sprintf(" master %q", a.master)
	}
	return fmt.Sprintf("%s database %d prefix %q", name, a.database, prefix), nil
}
