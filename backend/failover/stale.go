package failover

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// staleFile is a file beside a journal that lists which of its sessions are from a life
// that ended too long before the next began: the front store may have been well
// meanwhile, and others may have ended them. It lasts until the outage is over.
const staleFile = "stale"

// staleEnd is its last line: one that is cut short lacks it.
const staleEnd = "."

// noteStale notes which sessions of a journal, this or one that is taken over, are too
// old to be served before the front store was reached: all, where it cannot be told.
func (j *journal) noteStale(o *Options, b *local.Backend, dir string) error {
	if dir == "" {
		return nil
	}
	listed, err := readStale(dir)
	readable := err == nil || errors.Is(err, os.ErrNotExist)
	sign, err := readSign(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		o.Logger.Warn("the sign of life beside a journal cannot be read", "dir", dir, "error", err)
	}
	recent := sign.recent(perdure.MillisOf(o.Now()), o.MaxDowntime) && readable
	waited := sign.Waited
	if recent {
		waited += perdure.MillisOf(o.Now()) - sign.At // else the clock may have been set
	}
	j.lives[dir] = life{synced: sign.Synced, waited: waited, recent: recent}
	before := j.stale.len()
	for page, err := range pages(context.Background(), b) {
		if err != nil {
			return err
		}
		for i := range page.Records {
			if r := &page.Records[i]; r.Kind == perdure.KindSession && (!recent || listed[r.ID]) {
				j.stale.add(r.ID)
			}
		}
	}
	if n := j.stale.len() - before; n > 0 {
		o.Logger.Warn("sessions that were written before this process was away for long are unavailable until the session store is reached", "sessions", n, "dir", dir, "limit", o.MaxDowntime.String())
	}
	return nil
}

// listStale writes down which sessions are stale, before a sign of life can make them
// look recent. Where that fails none is left in this life.
func (j *journal) listStale(o *Options) {
	if j.dir == "" || j.stale.len() == 0 {
		return
	}
	if err := writeStale(j.dir, j.stale.list()); err != nil {
		j.unlisted = true
		o.Logger.Warn("what is too old to be served cannot be listed: after another restart in this outage all of the journal is unavailable", "error", err)
	}
}

func writeStale(dir string, ids []string) error {
	slices.Sort(ids)
	return replaceFile(filepath.Join(dir, staleFile), []byte(strings.Join(append(ids, staleEnd, ""), "\n")))
}

func readStale(dir string) (map[string]bool, error) {
	file, err := os.Open(filepath.Join(dir, staleFile))
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return decodeStale(file)
}

// decodeStale reads what writeStale wrote, to the end, or returns an ErrFormat.
func decodeStale(r io.Reader) (map[string]bool, error) {
	listed, ended := map[string]bool{}, false
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 2*perdure.MaxIDLen)
	for lines.Scan() {
		id := lines.Text()
		if ended || id != staleEnd && perdure.CheckID(id) != nil {
			return nil, fmt.Errorf("%w: the list of stale sessions is damaged", perdure.ErrFormat)
		}
		if ended = id == staleEnd; !ended {
			listed[id] = true
		}
	}
	if err := lines.Err(); err != nil || !ended {
		return nil, fmt.Errorf("%w: the list of stale sessions is cut short", perdure.ErrFormat)
	}
	return listed, nil
}
