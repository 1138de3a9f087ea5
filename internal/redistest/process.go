package redistest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
)

// process is a child that is watched until it has exited.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{} // closed once the child is reaped
}

// spawn starts a child that writes to output and dies with this process.
//
// The kernel sends the parent-death signal when the thread that forked the
// child ends, not when the process does. So one goroutine keeps the thread to
// itself from the fork until the child is gone.
func spawn(output *os.File, binary string, args ...string) (*process, error) {
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.Env = append(os.Environ(), "LC_ALL=C") // for error texts that can be recognised
	cmd.SysProcAttr = childAttr()

	p := &process{cmd: cmd, exited: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			cmd.Wait() // how it ended is in cmd.ProcessState
			close(p.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) running() bool {
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// signal sends a signal; a child that is gone already is no error.
func (p *process) signal(sig os.Signal) error {
	err := p.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// kill ends the child, stopped or not, and waits until it is gone.
func (p *process) kill() error {
	if err := p.signal(os.Kill); err != nil {
		return fmt.Errorf("redistest: killing process %d: %w", p.pid(), err)
	}
	<-p.exited
	return nil
}
