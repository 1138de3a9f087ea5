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

const checkpointFormat = 2

// checkpoint is how far a run is, in memory and in a file. It is safe for
// concurrent use.
type checkpoint struct {
	path  string // empty for none
	tally *tally
	began time.Time     // in this process
	spent time.Duration // in those before

	held *history    // of the target
	back *checkpoint // of the way back, which is in the same file; nil for none

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
	// Held is the target that holds what was moved so far.
	Held known `json:"held"`
	// Doubt is true where the source has lost something since the first run began.
	Doubt bool `json:"doubt,omitempty"`
	// Back is how far the way back is.
	Back *state `json:"back,omitempty"`
}

// openCheckpoint reads the checkpoint that the options name, or begins one.
func (o *Options) openCheckpoint(t *tally, held *history) (*checkpoint, error) {
	c := newCheckpoint(t, held)
	c.path, c.state.Name = o.Checkpoint, o.Name
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
	c.restore(found)
	return c, nil
}

// newCheckpoint is one in memory, at the beginning.
func newCheckpoint(t *tally, held *history) *checkpoint {
	c := &checkpoint{tally: t, held: held, began: time.Now(), state: state{Format: checkpointFormat}}
	c.clear()
	return c
}

func (c *checkpoint) restore(found state) {
	c.state, c.spent = found, time.Duration(found.Seconds*float64(time.Second))
	c.held.set(found.Held)
	c.tally.add(func(r *Result) { *r = found.Result })
}

func parseCheckpoint(content []byte) (s state, err error) {
	if err := json.Unmarshal(content, &s); err != nil {
		return s, err
	}
	if s.Format != checkpointFormat {
		return s, fmt.Errorf("it has format %d and this build reads format %d", s.Format, checkpointFormat)
	}
	for one := &s; one != nil; one = one.Back {
		if one.Cursors == nil {
			one.Cursors = map[int]string{}
		}
		if one.Done == nil {
			one.Done = map[int]bool{}
		}
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

// forget begins with the target anew, too: nothing is known to be in it.
func (c *checkpoint) forget() {
	c.clear()
	c.held.set(known{})
	c.tally.add(func(r *Result) { *r = Result{Deleted: r.Deleted} })
}

// doubt notes that the source has lost something.
func (c *checkpoint) doubt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.Doubt = true
}

func (c *checkpoint) doubted() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.state.Doubt
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

// result is what became of the sessions so far; of the way back, what failed.
func (c *checkpoint) result() Result {
	r := c.own()
	if c.back != nil {
		back := c.back.own()
		r.Total, r.Failed, r.Errors = r.Total+back.Failed, r.Failed+back.Failed, append(r.Errors, back.Errors...)
	}
	return r
}

func (c *checkpoint) own() Result {
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
	content, err := c.encode()
	if err == nil {
		err = replace(c.path, content)
	}
	if err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	return nil
}

// encode is what the file holds. What was known of the target is taken last: it is
// never older than what is said to be in it.
func (c *checkpoint) encode() ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.state.Result = c.own()
	c.state.Seconds = c.state.Result.Duration.Seconds()
	c.state.Held = c.held.get()
	if c.back != nil {
		c.back.mu.Lock()
		defer c.back.mu.Unlock()
		c.back.state.Held, c.back.state.Result = c.back.held.get(), c.back.own()
		c.state.Back = &c.back.state
	}
	return json.Marshal(c.state)
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
