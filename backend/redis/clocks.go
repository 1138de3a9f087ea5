package redis

import (
	"sync/atomic"

	"github.com/perdure/perdure"
)

// clocks remember how late it was on the server of each partition when it last
// said so; all partitions but those of a Cluster share one. A version that is not
// ahead of that by more than the skew bound is not ahead of the server's clock
// either, and need not be compared with it: asking for the time costs a script a
// tenth of its own, and once a minute is enough.
type clocks struct {
	cluster bool
	last    [perdure.Partitions]atomic.Int64
}

// of is the clock of the partition's server.
func (c *clocks) of(partition int) *atomic.Int64 {
	if !c.cluster {
		partition = 0
	}
	return &c.last[partition]
}

// covers reports whether the version is known not to be too far ahead.
func (c *clocks) covers(partition int, v perdure.Version, skew perdure.Millis) bool {
	return int64(v.Millis()) <= c.of(partition).Load()+int64(skew)
}

// saw takes in what a server said.
func (c *clocks) saw(partition int, now perdure.Millis) { c.of(partition).Store(int64(now)) }
