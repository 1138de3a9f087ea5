package simulation

import (
	"testing"

	"github.com/perdure/perdure/internal/reference"
)

// controls are bugs of the front store, each with a profile in which it shows.
var controls = []struct {
	bug     reference.Bug
	profile string
}{
	{"a touch creates", "changing expiries"},
	{"a touch revives", "outages"},
	{"a touch minds no idle timeout", "idle timeouts"},
	{"a removal leaves no tombstone", "old copies"},
	{"a removal with an older version is dropped", "outages"},
	{"a removal never plants a tombstone", "old copies"},
	{"a put replaces whatever session is stored", "two sides"},
	{"a put replaces a tombstone", "old copies"},
	{"an epoch stops nobody", "old copies"},
	{"a rotated parent stops its child", "rotations"},
	{"of a batch only the first write is applied", "rotations"},
	{"a revocation spares no exception", "outages"},
	{"a revocation leaves no epoch", "old copies"},
	{"a revocation misses the last session of a page", "outages"},
	{"a listing misses foreign ids", "outages"},
	{"a listing shows tombstones", "outages"},
	{"a listing skips a record between pages", "outages"},
	{"a sweep does not see touches", "idle timeouts"},
	{"a sweep does not see that an expiry moved", "changing expiries"},
	{"tombstones are dropped at their expiry", "old copies"},
	{"the feed loses a change", "outages"},
	{"the feed passes over a gap", "full mirrors"},
	{"the feed swaps changes", "full mirrors"},
	{"an exact put replaces whatever session is stored", "expected versions"},
	{"an epoch stops no foreign id", "outages"},
	{"a put with an older version is in conflict", "two sides"},
	{"a touch minds no expiry", "changing expiries"},
	{"a removal replaces a tombstone", "rotations"},
	{"a listing loses what had its expiry cut", "changing expiries"},
	{"a short session hides the longer ones", "changing expiries"},
	{"what was promised more leaves nothing when it is swept", "changing expiries"},
	{"what was minted in an outage leaves nothing when it is swept", "changing expiries"},
}

// controlSeeds is within how many seeds a bug must show.
const controlSeeds = 1000

func TestControls(t *testing.T) {
	if raced {
		t.Skip("the race detector is on; make test runs it without, too")
	}
	for _, c := range controls {
		t.Run(string(c.bug), func(t *testing.T) {
			t.Parallel()
			rig, p := newRig(t), named(c.profile)
			for seed := range uint64(controlSeeds) {
				steps := Generate(p, seed)
				for _, x := range rig.play(t, p, steps, c.bug).Violations {
					if !rig.play(t, p, steps, "").breaks(x.Law) {
						t.Logf("%s: seed %d: %s", c.bug, seed, x.Law)
						return
					}
				}
			}
			t.Errorf("%s: %d seeds of %q do not find it", c.bug, controlSeeds, c.profile)
		})
	}
}

func named(name string) *Profile {
	for _, p := range Profiles() {
		if p.Name == name {
			return &p
		}
	}
	return nil
}
