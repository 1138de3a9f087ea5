package failover

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
)

// FuzzAdrift: whatever is in the file, what was written to it is read, and each line
// is one node or life, or none.
func FuzzAdrift(f *testing.F) {
	f.Add("", uint32(1))
	f.Add("0000", uint32(0xffffffff))
	f.Add("00000002\n+0000003\n0x000004\nzzzzzzzz", uint32(5))
	f.Add("life 1 2 b\n00000002\nlife -1 2 b\nlife 1 99999999999999999999 b", uint32(5))
	f.Fuzz(func(t *testing.T, torn string, node uint32) {
		lives := parseAdrift(strings.NewReader(fmt.Sprintf("%08x\n", node) + torn))
		if !lives[0].nodes[node] {
			t.Fatalf("%08x is not in %v", node, lives)
		}
		read := len(lives)
		for _, l := range lives {
			read += len(l.nodes)
		}
		if most := 2 + strings.Count(torn, "\n") + 1; read > most {
			t.Fatalf("%d lines have %v", most, lives)
		}
	})
}

// TestAdriftOutlivesTheProcess that wrote it, and goes with its stamps.
func TestAdriftOutlivesTheProcess(t *testing.T) {
	j := &journal{dir: t.TempDir(), left: []string{t.TempDir()}}
	var want []clockLife
	for i, nodes := range []map[uint32]bool{{1: true}, {2: true, 0xffffffff: true}} {
		l := clockLife{boot: "b", uptime: time.Duration(i) * time.Second, opened: 7, nodes: nodes}
		if err := j.writeAdrift(&l); err != nil {
			t.Fatal(err)
		}
		if want = append(want, l); !reflect.DeepEqual(j.readAdrift(), want) {
			t.Errorf("read %v, not %v", j.readAdrift(), want)
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

// TestJudge: how far a clock was off is known by the uptime of the same boot alone.
func TestJudge(t *testing.T) {
	now := time.UnixMilli(1_000_000)
	at := func(seconds int64) perdure.Millis { return perdure.Millis(1_000_000 + 1000*seconds) }
	life := func(boot string, uptime time.Duration, opened perdure.Millis, node uint32) clockLife {
		return clockLife{boot: boot, uptime: uptime, opened: opened, nodes: map[uint32]bool{node: true}}
	}
	ahead, unknown := judge([]clockLife{
		life("b", 40*time.Second, at(-60), 1),     // was right
		life("b", 40*time.Second, at(-60)+300, 2), // within measure
		life("b", 90*time.Second, at(80), 3),      // 90 s ahead
		life("b", 90*time.Second, at(-100), 4),    // 90 s behind
		life("other", 40*time.Second, at(-60), 5),
		life("", 0, at(-60), 6),
		life("b", 101*time.Second, at(0), 7), // from the future
	}, &clockLife{boot: "b"}, 100*time.Second, now)
	if want := (map[uint32]perdure.Millis{1: 0, 2: 0, 3: 90_000, 4: -90_000}); !maps.Equal(ahead, want) {
		t.Errorf("ahead are %v, want %v", ahead, want)
	}
	if want := (map[uint32]bool{5: true, 6: true, 7: true}); !maps.Equal(unknown, want) {
		t.Errorf("unknown are %v, want %v", unknown, want)
	}
}

// TestSystemUptime: it goes on, and names the boot.
func TestSystemUptime(t *testing.T) {
	boot, before := systemUptime()
	if boot == "" {
		t.Skip("this system does not tell")
	}
	if again, after := systemUptime(); again != boot || after < before || before == 0 {
		t.Errorf("%s %v, then %s %v", boot, before, again, after)
	}
}
