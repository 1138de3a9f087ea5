package failover

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/perdure/perdure"
)

// adrift is a file beside a journal with the node ids of clocks that have stamped what
// is in it while no front store had told the time. It is there before the first such
// stamp, and goes when they are mended. For each life of a process it has a line that
// says when that began, by the machine's clock and by its uptime, which nobody can set:
// whoever is told the time later, on the same boot, knows how far that clock was off.
// Then come the node ids, one a line in hex.
const adrift = "adrift"

// clockLife is what is known of the clocks of one life of a process.
type clockLife struct {
	boot   string         // of the machine; empty if it is not known
	uptime time.Duration  // of the machine, when the life began
	opened perdure.Millis // the same moment by the machine's clock
	nodes  map[uint32]bool
}

// lifeLine begins the line of a life.
const lifeLine = "life"

// maxBoot bounds the name of a boot.
const maxBoot = 64

func (l *clockLife) write(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "%s %d %d %s\n", lifeLine, l.uptime.Milliseconds(), l.opened, l.boot); err != nil {
		return err
	}
	for node := range l.nodes {
		if _, err := fmt.Fprintf(w, "%08x\n", node); err != nil {
			return err
		}
	}
	return nil
}

func (j *journal) writeAdrift(l *clockLife) (err error) {
	if j.dir == "" {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(j.dir, adrift), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriter(f)
	fmt.Fprintln(w) // what was torn before stays a line of its own
	if err := errors.Join(l.write(w), w.Flush(), f.Sync()); err != nil {
		return err
	}
	dir, err := os.Open(j.dir)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// readAdrift reads the files of this process's folder and of those that were taken
// over. A line that is none, torn by a crash, is of a stamp that was never written.
func (j *journal) readAdrift() (lives []clockLife) {
	for _, dir := range append(j.left, j.dir) {
		f, err := os.Open(filepath.Join(dir, adrift))
		if dir == "" || err != nil {
			continue
		}
		lives = append(lives, parseAdrift(f)...)
		f.Close()
	}
	return lives
}

// parseAdrift reads the lives of a file. Node ids before the first are of one of which
// nothing is known.
func parseAdrift(file io.Reader) (lives []clockLife) {
	for lines := bufio.NewScanner(file); lines.Scan(); {
		line := lines.Text()
		if l, ok := parseLife(line); ok {
			lives = append(lives, l)
		} else if node, err := strconv.ParseUint(line, 16, 32); err == nil && len(line) == 8 {
			if len(lives) == 0 {
				lives = append(lives, clockLife{nodes: map[uint32]bool{}})
			}
			lives[len(lives)-1].nodes[uint32(node)] = true
		}
	}
	return lives
}

func parseLife(line string) (l clockLife, ok bool) {
	words := strings.Split(line, " ")
	if len(words) != 4 || words[0] != lifeLine || len(words[3]) > maxBoot {
		return l, false
	}
	uptime, bad := strconv.ParseInt(words[1], 10, 48)
	opened, worse := strconv.ParseInt(words[2], 10, 64)
	if bad != nil || worse != nil || uptime < 0 || opened < 0 || opened > int64(perdure.MaxMillis) {
		return l, false
	}
	return clockLife{boot: words[3], uptime: time.Duration(uptime) * time.Millisecond, opened: perdure.Millis(opened), nodes: map[uint32]bool{}}, true
}

// dropAdrift removes the files.
func (j *journal) dropAdrift() (err error) {
	for _, dir := range append(j.left, j.dir) {
		if dir == "" {
			continue
		}
		if failed := os.Remove(filepath.Join(dir, adrift)); failed != nil && !errors.Is(failed, os.ErrNotExist) {
			err = errors.Join(err, failed)
		}
	}
	return err
}

// judge says of the clocks of earlier lives how far they were ahead, where that is
// known, and names those of which it is not. Now is the time, and present the life that
// has been told it.
func judge(lives []clockLife, present *clockLife, uptime time.Duration, now time.Time) (ahead map[uint32]perdure.Millis, unknown map[uint32]bool) {
	ahead, unknown = map[uint32]perdure.Millis{}, map[uint32]bool{}
	for i := range lives {
		l := &lives[i]
		if l.boot == "" || l.boot != present.boot || l.uptime > uptime {
			maps.Copy(unknown, l.nodes)
			continue
		}
		began := perdure.MillisOf(now.Add(l.uptime - uptime))
		off := l.opened - began
		if (time.Duration(off) * time.Millisecond).Abs() < rightWithin {
			off = 0
		}
		for node := range l.nodes {
			ahead[node] = off
		}
	}
	return ahead, unknown
}
