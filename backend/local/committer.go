package local

import (
	"context"
	"fmt"
	"sync"

	"github.com/perdure/perdure"
)

// maxGroup bounds the commands that share a commit.
const maxGroup = 4096

// committer is the one goroutine that writes to the data file. It takes what is
// queued as a group: evaluates the commands in their order, each over what those
// before it have staged; commits the outcome in one transaction; only then
// applies it to the memory, announces it, and answers. Where the commit fails
// nothing has happened, and all are told so.
type committer struct {
	b       *Backend
	queue   chan *request
	stopped chan struct{}
	trial   int   // the size of the commit that failed, since none of its size has succeeded; 0 for none
	made    int   // how often the file had been made
	owed    owed  // what the file is behind by
	failed  error // of the last commit of all
	full    error // why the file takes nothing but what ends sessions; nil while it takes all

	mu     sync.RWMutex // held for reading to send on queue, for writing to close it
	closed bool
}

// request is a command in the queue.
type request struct {
	ctx  context.Context
	cmd  command
	err  error
	done chan struct{} // closed with the answer
}

func startCommitter(b *Backend) *committer {
	c := &committer{b: b, queue: make(chan *request, maxGroup), stopped: make(chan struct{})}
	go c.run()
	return c
}

// stop carries out what is queued and ends the goroutine. The error is that of
// leaving something in the file that was to be gone.
func (c *committer) stop() error {
	c.mu.Lock()
	c.closed = true
	close(c.queue)
	c.mu.Unlock()
	<-c.stopped
	return c.failed
}

// do queues a command and waits for its answer. Where the context ends first,
// the command may be carried out or not.
func (c *committer) do(ctx context.Context, cmd command) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.b.opts.Timeout)
		defer cancel()
	}
	r := &request{ctx: ctx, cmd: cmd, done: make(chan struct{})}
	if err := c.send(r); err != nil {
		return err
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return fmt.Errorf("%w; the write was waiting for the disk and may still be applied", ended(ctx))
	}
}

func (c *committer) send(r *request) error {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if c.closed {
		return perdure.ErrClosed
	}
	select {
	case c.queue <- r:
		return nil
	case <-r.ctx.Done():
		return ended(r.ctx)
	}
}

// run commits group after group until the queue is closed and empty.
func (c *committer) run() {
	defer close(c.stopped)
	next := <-c.queue
	for next != nil {
		var group []*request
		group, next = c.gather(next)
		c.commit(group)
		if next == nil {
			next = <-c.queue
		}
	}
	if c.owed.len() > 0 {
		c.failed = c.write(c.stage())
	}
}

// gather takes what is queued behind the first request. A command that reads an
// index begins a group of its own, and one that the file need not have at once is
// one: it is returned as next.
func (c *committer) gather(first *request) (group []*request, next *request) {
	group = []*request{first}
	for len(group) < maxGroup && !first.cmd.deferred() {
		select {
		case r := <-c.queue:
			switch {
			case r == nil: // closed
				return group, nil
			case r.cmd.indexed(), r.cmd.deferred():
				return group, r
			}
			group = append(group, r)
		default:
			return group, nil
		}
	}
	return group, nil
}

// commit carries out a group and answers it.
func (c *committer) commit(group []*request) {
	if c.full == nil {
		c.reserve()
	}
	if c.full != nil {
		c.carryOutEnds(group)
	} else if err := c.carryOut(group); err != nil {
		c.openReserve(group, err)
	}
	for _, r := range group {
		close(r.done)
	}
}

// carryOut carries out a group, all of it or, with an error, nothing.
func (c *committer) carryOut(group []*request) error {
	s := c.stage()
	s.deferred = group[0].cmd.deferred()
	for _, r := range group {
		if r.err = nil; r.ctx.Err() != nil {
			r.err = ended(r.ctx)
			continue
		}
		r.cmd.run(s)
	}
	err := c.write(s)
	if err == nil {
		c.apply(s)
	}
	for _, r := range group {
		if r.err == nil {
			r.err = err
		}
	}
	return err
}

func (c *committer) stage() *stage {
	return &stage{b: c.b, now: c.b.now(), final: map[string]*perdure.Record{}}
}

// write makes what is staged durable, with what is owed.
func (c *committer) write(s *stage) error {
	if s.deferred {
		c.owed.add(s)
		return nil
	}
	if len(s.muts) == 0 && !s.commit && c.owed.len() == 0 {
		if s.check {
			err := c.b.file.keepName()
			c.noteMade()
			return err
		}
		return nil
	}
	c.owed.addTo(s)
	trial := 0
	if s.try {
		trial = c.trial
	}
	err := c.b.file.commit(s.final, s.records, trial)
	if err == nil {
		c.owed.clear()
	} else {
		c.b.bytes.Add(-s.bytes)
	}
	c.note(err)
	return err
}

const (
	leastTrial = 1 << 12
	mostTrial  = 1 << 18
)

// note keeps in mind, and logs, that the file has refused a commit until one of its
// size has succeeded: a full disk may have room for less, as for a ping.
func (c *committer) note(err error) {
	size := c.b.file.size
	switch {
	case err != nil:
		if c.trial == 0 {
			text := "writes are refused until the data file takes them again"
			if c.b.file.reserved {
				text += "; sessions can still be ended, in room that is kept for that"
			}
			c.b.opts.Logger.Error(text, "error", err)
		}
		c.trial = min(max(size, leastTrial), mostTrial)
	case c.trial > 0 && size >= c.trial && c.full == nil:
		c.trial = 0
		c.b.opts.Logger.Info("the data file takes writes again")
	}
	c.noteMade()
}

// noteMade tells that the file was made after Open.
func (c *committer) noteMade() {
	n := c.b.file.made
	if n == c.made {
		return
	}
	c.made = n
	c.b.opts.Logger.Error("the data file was made, with all that it is to hold: it had been removed or moved while this process runs, or there was no room for it before", "file", c.b.file.path)
	if c.b.opts.Made != nil {
		c.b.opts.Made()
	}
}

// apply shows what is staged to the readers.
func (c *committer) apply(s *stage) {
	var set partitions
	for _, m := range s.muts {
		m.claim(&set)
	}
	c.b.lock(set)
	defer c.b.unlock(set)
	s.apply()
}

// syncCommand is an empty commit.
type syncCommand struct{}

func (syncCommand) claim(*partitions)              {}
func (syncCommand) discover(*Backend, *partitions) {}
func (syncCommand) indexed() bool                  { return false }
func (syncCommand) deferred() bool                 { return false }
func (syncCommand) run(s *stage)                   { s.commit = true }

// checkCommand looks after the name of the file.
type checkCommand struct{ syncCommand }

func (checkCommand) run(s *stage) { s.check = true }

// pingCommand is an empty commit, or one of the size that was refused last.
type pingCommand struct{ syncCommand }

func (pingCommand) run(s *stage) { s.commit, s.try = true, true }
