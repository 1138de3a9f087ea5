package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/perdure/perdure/internal/printable"
)

// ErrCheckpoint says that there is a checkpoint and what to do about it.
var ErrCheckpoint = errors.New("checkpoint")

const checkpointFormat = 1

// checkpoint is how far a run is, in memory and in a file. It is safe for
// concurrent use.
type checkpoint struct {
	path  string // empty for none
	tally *tally
	began time.Time     // in this process
	spent time.Duration // in those before

	mu    sync.Mutex
	state state
}

// state is what the file holds. All that it says is done has been stored in the
// target: a run that goes on from it does some of its work twice, and misses
// nothing.
type state struct {
	Format int    `json:"format"`
	Name   string `json:"name"`
	// Feed is the cursor of the source's change feed from before the first record
	// was read, then behind what was caught up with.
	Feed string `json:"feed,omitempty"`
	// Parts is how many parts the source has; Cursors are those of the parts that
	// were begun, Done are the parts that are done.
	Parts   int            `json:"parts"`
	Cursors map[int]string `json:"cursors"`
	Done    map[int]bool   `json:"done"`
	Result  Result         `json:"result"`
	Seconds float64        `json:"seconds"`
}

// openCheckpoint reads the checkpoint that the options name, or begins one.
func (o *Options) openCheckpoint(t *tally) (*checkpoint, error) {
	c := &checkpoint{path: o.Checkpoint, tally: t, began: time.Now(), state: state{Format: checkpointFormat, Name: o.Name}}
	c.clear()
	if c.path == "" {
		return c, nil
	}
	content, err := os.ReadFile(c.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c, c.save() // so that a path that cannot be written stops the run before it begins
	case err != nil:
		return nil, err
	case !o.Resume:
		return nil, fmt.Errorf("%w: %s is that of a run which did not come to its end; resume it, or remove the file to begin anew", ErrCheckpoint, c.path)
	}
	found, err := parseCheckpoint(content)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %s cannot be read: %w; remove it to begin anew", ErrCheckpoint, c.path, err)
	case found.Name != o.Name:
		return nil, fmt.Errorf("%w: %s is that of %q, not of %q; name another file", ErrCheckpoint, c.path, printable.Clip(found.Name, maxPrinted), o.Name)
	}
	c.state, c.spent = found, time.Duration(found.Seconds*float64(time.Second))
	t.add(func(r *Result) { *r = found.Result })
	return c, nil
}

func parseCheckpoint(content []byte) (s state, err error) {
	if err := json.Unmarshal(content, &s); err != nil {
		return s, err
	}
	if s.Format != checkpointFormat {
		return s, fmt.Errorf("it has format %d and this build reads format %d", s.Format, checkpointFormat)
	}
	if s.Cursors == nil {
		s.Cursors = map[int]string{}
	}
	if s.Done == nil {
		s.Done = map[int]bool{}
	}
	return s, nil
}

// clear begins the source anew.
func (c *checkpoint) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.Feed, c.state.Parts = "", 0
	c.state.Cursors, c.state.Done = map[int]string{}, map[int]bool{}
}

// parts says how many parts the source has. Where that is not as it was, all are
// read again.
func (c *checkpoint) parts(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state.Parts != n {
		c.state.Parts, c.state.Cursors, c.state.Done = n, map[int]string{}, map[int]bool{}
	}
}

// at is where to read on in a part, and whether it is done.
func (c *checkpoint) at(part int) (cursor string, done bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.Cursors[part], c.state.Done[part]
}

// advance says that a part was moved up to a cursor, or to its end.
func (c *checkpoint) advance(part int, cursor string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if cursor != "" {
		c.state.Cursors[part] = cursor
		return
	}
	delete(c.state.Cursors, part)
	c.state.Done[part] = true
}

func (c *checkpoint) feed() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.Feed
}

func (c *checkpoint) setFeed(cursor string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.Feed = cursor
}

// result is what became of the sessions so far.
func (c *checkpoint) result() Result {
	r := c.tally.snapshot()
	r.Duration = c.spent + time.Since(c.began)
	return r
}

// saveEvery is how often the file is written: what a run does twice after it was
// killed.
const saveEvery = 250 * time.Millisecond

// keep saves every so often until the context ends.
func (c *checkpoint) keep(ctx context.Context) error {
	ticker := time.NewTicker(saveEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := c.save(); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// save replaces the file with a new one, at one stroke.
func (c *checkpoint) save() error {
	if c.path == "" {
		return nil
	}
	c.mu.Lock()
	c.state.Result = c.result()
	c.state.Seconds = c.state.Result.Duration.Seconds()
	content, err := json.Marshal(c.state)
	c.mu.Unlock()
	if err == nil {
		err = replace(c.path, content)
	}
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

// remove ends the checkpoint of a run that is done.
func (c *checkpoint) remove() error {
	if c.path == "" {
		return nil
	}
	return os.Remove(c.path)
}

// replace writes a file so that a crash leaves the old one or the new one.
func replace(path string, content []byte) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name()) // fails once it was renamed
	_, err = file.Write(content)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	directory, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(directory.Sync(), directory.Close())
}
