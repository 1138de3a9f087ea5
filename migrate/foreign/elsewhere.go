package foreign

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/perdure/perdure/foreign"
)

const (
	elsewhereSteps  = 200 // of a scan, each of elsewhereCount keys
	elsewhereCount  = 1000
	elsewhereTries  = 3 // of keys with the same prefix
	elsewherePrefix = 5 // that are named
)

// Elsewhere names other prefixes at which there are sessions of the layout, for who finds
// none under the one that was given. It looks at so many keys at most, and passes over
// what it cannot read.
func (r *Redis) Elsewhere(ctx context.Context) ([]string, error) {
	masters, err := r.masters(ctx)
	if err != nil {
		return nil, err
	}
	tried, found := map[string]int{}, map[string]bool{}
	for _, node := range masters {
		for at, step := uint64(0), 0; step < elsewhereSteps && len(found) < elsewherePrefix; step++ {
			entry, err := node.Do(ctx, node.B().Scan().Cursor(at).Count(elsewhereCount).Build()).AsScanEntry()
			if err != nil {
				return nil, unavailable(err)
			}
			for _, key := range entry.Elements {
				prefix, id, ok := foreign.Split(r.Layout, key)
				if !ok || found[prefix] || tried[prefix] >= elsewhereTries {
					continue
				}
				tried[prefix]++
				if r.isSession(ctx, key, id) {
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

// isSession reports whether what is stored under a key can be read as a session.
func (r *Redis) isSession(ctx context.Context, key, id string) bool {
	values, err := r.values(ctx, []string{key})
	if err != nil || values[0].gone || strings.TrimSpace(values[0].text) == "" {
		return false
	}
	_, err = r.record(id, values[0])
	return err == nil
}
