package redis

import (
	"context"
	"maps"
	"slices"
	"strings"
)

const (
	elsewhereSteps = 200 // of a scan, each of elsewhereCount keys
	elsewhereCount = 1000
)

// Elsewhere names other prefixes at which there are sessions in the same database, for
// who finds none under the one that was given. It is the one thing that scans keys, and
// looks at so many at most.
func (b *Backend) Elsewhere(ctx context.Context) ([]string, error) {
	if err := b.link.ready(ctx); err != nil {
		return nil, err
	}
	found := map[string]bool{}
	for _, node := range b.link.client.Nodes() {
		for at, step := uint64(0), 0; step < elsewhereSteps; step++ {
			command := node.B().Scan().Cursor(at).Match("*{??}:[xt]").Count(elsewhereCount).Build()
			entry, err := node.Do(ctx, command).AsScanEntry()
			if isDenied(err) {
				return nil, nil
			}
			if err != nil {
				return nil, b.link.failure(err)
			}
			for _, key := range entry.Elements {
				if prefix, _, ok := strings.Cut(key, "{"); ok && prefix != b.keys.prefix {
					found[prefix] = true
				}
			}
			if at = entry.Cursor; at == 0 {
				break
			}
		}
	}
	return slices.Sorted(maps.Keys(found)), nil
}
