package failover

import (
	"fmt"
	"maps"
	"strings"
	"testing"
)

// FuzzAdrift: whatever is in the file, what was written to it is read, and each line
// is one node or none.
func FuzzAdrift(f *testing.F) {
	f.Add("", uint32(1))
	f.Add("0000", uint32(0xffffffff))
	f.Add("00000002\n+0000003\n0x000004\nzzzzzzzz", uint32(5))
	f.Fuzz(func(t *testing.T, torn string, node uint32) {
		nodes := map[uint32]bool{}
		parseAdrift(strings.NewReader(fmt.Sprintf("%08x\n", node)+torn), nodes)
		if !nodes[node] {
			t.Fatalf("%08x is not in %v", node, nodes)
		}
		if most := 1 + strings.Count(torn, "\n") + 1; len(nodes) > most {
			t.Fatalf("%d lines have %v", most, maps.Keys(nodes))
		}
	})
}

// TestAdriftOutlivesTheProcess that wrote it, and goes with its stamps.
func TestAdriftOutlivesTheProcess(t *testing.T) {
	j := &journal{dir: t.TempDir(), left: []string{t.TempDir()}}
	for _, nodes := range []map[uint32]bool{{1: true}, {1: true, 0xffffffff: true}} {
		if err := j.writeAdrift(nodes); err != nil {
			t.Fatal(err)
		}
		if got := j.readAdrift(); !maps.Equal(got, nodes) {
			t.Errorf("read %v, not %v", got, nodes)
		}
	}
	for range 2 {
		if err := j.dropAdrift(); err != nil {
			t.Fatal(err)
		}
		if got := j.readAdrift(); len(got) > 0 {
			t.Errorf("read %v", got)
		}
	}
}
