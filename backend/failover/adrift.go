package failover

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// adrift is a file beside a journal with the node ids of clocks that have stamped what
// is in it while no front store had told the time, one a line in hex. It is there
// before the first such stamp, and goes when they are mended: a process that finds it
// knows that nobody knows how those clocks went.
const adrift = "adrift"

func (j *journal) writeAdrift(nodes map[uint32]bool) (err error) {
	if j.dir == "" {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(j.dir, adrift), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	for node := range nodes {
		if _, err := fmt.Fprintf(f, "%08x\n", node); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
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
func (j *journal) readAdrift() map[uint32]bool {
	nodes := map[uint32]bool{}
	for _, dir := range append(j.left, j.dir) {
		f, err := os.Open(filepath.Join(dir, adrift))
		if dir == "" || err != nil {
			continue
		}
		parseAdrift(f, nodes)
		f.Close()
	}
	return nodes
}

func parseAdrift(file io.Reader, nodes map[uint32]bool) {
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if node, err := strconv.ParseUint(lines.Text(), 16, 32); err == nil && len(lines.Text()) == 8 {
			nodes[uint32(node)] = true
		}
	}
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
