package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"

	"github.com/perdure/perdure/backend/failover"
)

// ChildVariable is the environment variable that makes a process a child: it
// must call Serve then, and nothing else.
const ChildVariable = "PERDURE_CHAOS_CHILD"

// Serve is a perdure process that can be killed: it reads its settings and then
// requests from in, one JSON value a line, and writes replies to out.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	var s settings
	decoder := json.NewDecoder(in)
	if err := decoder.Decode(&s); err != nil {
		return err
	}
	if s.Migration != nil {
		return s.Migration.serve(ctx, decoder, json.NewEncoder(out))
	}
	var mu sync.Mutex
	encoder := json.NewEncoder(out)
	send := func(p Reply) {
		mu.Lock()
		defer mu.Unlock()
		encoder.Encode(p) // a parent that is gone takes this process with it
	}
	s.notify = func(state failover.State) { send(Reply{Kind: Shifted, State: string(state)}) }
	s.follow = func(f followed) { send(Reply{Kind: Followed, Followed: &f}) }
	v, err := openService(ctx, s)
	if err != nil {
		send(Reply{Kind: stopped, Error: err.Error()})
		return err
	}
	send(Reply{Kind: started})
	var running sync.WaitGroup
	for {
		var q Request
		if err := decoder.Decode(&q); err != nil {
			running.Wait()
			return v.close()
		}
		running.Go(func() { send(v.do(ctx, q)) })
	}
}

// child is a perdure process of its own, seen from here.
type child struct {
	command *exec.Cmd
	in      io.WriteCloser
	notify  func(state failover.State)
	follow  func(f followed)

	mu      sync.Mutex
	encoder *json.Encoder
	number  int64
	waiting map[int64]chan Reply
	dead    bool
	ended   chan struct{} // closed when all that it said was heard
}

// launch starts this program as a child that dies with it, and is yet to be told what
// to be: see Serve.
func launch() (command *exec.Cmd, in io.WriteCloser, out io.Reader, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, nil, nil, err
	}
	command = exec.Command(self)
	command.Env = append(os.Environ(), ChildVariable+"=1")
	command.Stderr = os.Stderr
	command.SysProcAttr = dieWithParent()
	if in, err = command.StdinPipe(); err != nil {
		return nil, nil, nil, err
	}
	if out, err = command.StdoutPipe(); err != nil {
		return nil, nil, nil, err
	}
	return command, in, out, command.Start()
}

func startChild(s settings) (*child, error) {
	c := &child{notify: s.notify, follow: s.follow, waiting: map[int64]chan Reply{}, ended: make(chan struct{})}
	var out io.Reader
	var err error
	if c.command, c.in, out, err = launch(); err != nil {
		return nil, err
	}
	c.encoder = json.NewEncoder(c.in)
	ready := make(chan Reply, 1)
	go c.listen(json.NewDecoder(out), ready)
	if err := c.encoder.Encode(s); err != nil {
		return nil, errors.Join(err, c.kill())
	}
	select {
	case p := <-ready:
		if p.Kind == started {
			return c, nil
		}
		return nil, errors.Join(fmt.Errorf("the child did not start: %s", p.Error), c.kill())
	case <-c.ended:
		return nil, errors.Join(errors.New("the child died at its start"), c.kill())
	}
}

// listen hands replies to those who wait for them, until the child is gone.
func (c *child) listen(decoder *json.Decoder, ready chan<- Reply) {
	defer close(c.ended)
	for {
		var p Reply
		if decoder.Decode(&p) != nil {
			break
		}
		switch p.Kind {
		case started, stopped:
			ready <- p
		case Shifted:
			c.notify(failover.State(p.State))
		case Followed:
			c.follow(*p.Followed)
		default:
			c.mu.Lock()
			c.waiting[p.Number] <- p
			delete(c.waiting, p.Number)
			c.mu.Unlock()
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = true
	for _, reply := range c.waiting {
		close(reply)
	}
	clear(c.waiting)
}

// do asks the child. One that dies leaves the outcome unknown.
func (c *child) do(_ context.Context, q Request) Reply {
	gone := Reply{Kind: q.Kind, Outcome: Unknown, Why: ProcessDown, Error: "the process is gone"}
	reply := make(chan Reply, 1)
	c.mu.Lock()
	if c.dead {
		c.mu.Unlock()
		return gone
	}
	c.number++
	q.Number = c.number
	c.waiting[q.Number] = reply
	err := c.encoder.Encode(q)
	c.mu.Unlock()
	if err != nil {
		<-c.ended
	}
	if p, ok := <-reply; ok {
		return p
	}
	return gone
}

// pause stops the child as SIGSTOP does, and resume lets it go on.
func (c *child) pause() error  { return stopProcess(c.command.Process) }
func (c *child) resume() error { return continueProcess(c.command.Process) }

// kill ends the child as a crash does.
func (c *child) kill() error {
	err := c.command.Process.Kill()
	<-c.ended
	c.command.Wait() // reports the signal
	return err
}

func (c *child) close() error {
	err := c.in.Close()
	<-c.ended
	return errors.Join(err, c.command.Wait())
}
