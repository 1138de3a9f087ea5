package perdure

import "slices"

// A metadata key that was removed leaves its name and the version of the removal, so
// that a merge does not bring it back. Of too many of those the oldest are dropped, by
// a write like any other: all keys that the session does not have and that have no
// version of their own count as removed at the *floor*, the version of the latest that
// was dropped. The floor only rises, and merges take the later one; so each key still
// has one version on each side, and the later of two wins.
//
// What that costs: a key that was written on another side of a partition, before the
// floor, and is not here yet when the floor passes it, is removed with the others.

// floor is the version at which keys count as removed that nothing else is known of.
func (c *content) floor() Version { return c.version(fieldFloor, Version{}) }

// compact drops the oldest of the removed keys where they take more than so many
// bytes, until they take half of that.
func (c *content) compact(most int) {
	size := 0
	for i := range c.changes {
		size += c.changes[i].size()
	}
	if size <= most {
		return
	}
	removed, size := c.removed()
	if size <= most {
		return
	}
	slices.SortStableFunc(removed, func(a, b fieldVersion) int { return a.version.Compare(b.version) })
	floor := c.floor()
	for _, change := range removed {
		if size <= most/2 && floor.Before(change.version) {
			break
		}
		size -= change.size()
		floor = later(floor, change.version)
	}
	gone := map[string]bool{}
	for _, change := range removed {
		if !floor.Before(change.version) {
			gone[change.field] = true
		}
	}
	c.changes = slices.DeleteFunc(c.changes, func(change fieldVersion) bool { return gone[change.field] })
	c.mark(fieldFloor, floor)
}

// removed are the changes that are removals of metadata keys, and what they take.
func (c *content) removed() (removed []fieldVersion, size int) {
	rest := c.metadata.packed
	for _, change := range c.changes {
		if change.field[:1] != fieldMetadata {
			continue
		}
		key, present := change.field[1:], false
		for rest != "" && !present {
			k, _, after, ok := cutEntry(rest)
			if !ok || k > key {
				break
			}
			present, rest = k == key, after
		}
		if !present {
			removed, size = append(removed, change), size+change.size()
		}
	}
	return removed, size
}

// size is about how many bytes it takes.
func (f *fieldVersion) size() int { return 1 + len(f.field) + versionSize }
