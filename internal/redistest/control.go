package redistest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// shutdownTimeout is how long a graceful end may take: a master waits for its
// replicas for up to ten seconds.
const shutdownTimeout = 15 * time.Second

// portTakenError is a start that failed because somebody else listens.
type portTakenError struct{ addr string }

func (e portTakenError) Error() string { return e.addr + " is taken" }

// start runs the process and waits until it answers. The caller holds mu, or
// is the only one who knows the server.
func (s *Server) start(ctx context.Context) error {
	ctx, cancel := bounded(ctx, startTimeout)
	defer cancel()
	output, err := os.OpenFile(s.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("redistest: %w", err)
	}
	defer output.Close()
	earlier, err := output.Stat()
	if err != nil {
		return fmt.Errorf("redistest: %w", err)
	}
	args := []string{s.configFile()}
	if s.profile.sentinel {
		args = append(args, "--sentinel")
	}
	p, err := spawn(output, s.binary, args...)
	if err != nil {
		return fmt.Errorf("redistest: starting %s: %w", s.binary, err)
	}
	s.process, s.stopped = p, false

	err = poll(ctx, func(ctx context.Context) error { return s.ready(ctx, p) })
	if err == nil {
		return nil
	}
	err = errors.Join(err, p.kill())
	log := s.Log()[earlier.Size():]
	if strings.Contains(log, "Address already in use") {
		err = portTakenError{s.Addr()}
	}
	return fmt.Errorf("redistest: %s on %s did not start: %w; its log ends:\n%s", s.binary, s.Addr(), err, tail(log))
}

// ready returns nil once the process answers, and not another server that
// took the port.
func (s *Server) ready(ctx context.Context, p *process) error {
	if !p.running() {
		return finalError{fmt.Errorf("the process ended: %v", p.cmd.ProcessState)}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	c, err := s.Dial(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Do("PING"); err != nil {
		return err
	}
	info, err := c.Do("INFO", "server")
	if err != nil {
		return err
	}
	text, _ := info.(string)
	if pid := infoField(text, "process_id"); pid != strconv.Itoa(p.pid()) {
		return fmt.Errorf("process %s answers instead of %d", pid, p.pid())
	}
	return nil
}

// Running reports whether the server can answer: its process lives and is not
// stopped.
func (s *Server) Running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.alive() && !s.stopped
}

func (s *Server) alive() bool { return s.process != nil && s.process.running() }

// Stop freezes the process (SIGSTOP): connections stay open and are accepted,
// and nothing is answered. It returns when the process stands still.
func (s *Server) Stop() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.alive() {
		return s.down()
	}
	if err := s.process.stop(); err != nil {
		return fmt.Errorf("redistest: %w", err)
	}
	s.stopped = true
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	return poll(ctx, func(context.Context) error { return checkStopped(s.process.pid()) })
}

// Continue lets a stopped process run on (SIGCONT).
func (s *Server) Continue() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.alive() {
		return s.down()
	}
	return s.resume()
}

func (s *Server) resume() error {
	if err := s.process.resume(); err != nil {
		return fmt.Errorf("redistest: %w", err)
	}
	s.stopped = false
	return nil
}

// Kill ends the process as a crash does (SIGKILL) and returns when it is gone.
// Killing a server that is down already does nothing.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kill()
}

func (s *Server) kill() error {
	if !s.alive() {
		return nil
	}
	return s.process.kill()
}

// Shutdown ends the process as an operator does (SIGTERM) and returns when it
// is gone. A server that does not end in fifteen seconds is killed, and that
// is an error. Shutting down a server that is down already does nothing.
func (s *Server) Shutdown() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shutdown()
}

func (s *Server) shutdown() error {
	if !s.alive() {
		return nil
	}
	if err := s.process.terminate(); err != nil {
		return fmt.Errorf("redistest: %w", err)
	}
	if err := s.resume(); err != nil {
		return err
	}
	timer := time.NewTimer(shutdownTimeout)
	defer timer.Stop()
	select {
	case <-s.process.exited:
		return nil
	case <-timer.C:
		late := fmt.Errorf("redistest: %s did not end in %v and was killed", s.Addr(), shutdownTimeout)
		return errors.Join(late, s.process.kill())
	}
}

// Restart starts the server again, on the same port and in the same directory,
// and waits until it answers. One that is up is shut down first. What it had
// stored is there again if it was made with Persist, and is gone if it was not.
func (s *Server) Restart(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.shutdown(); err != nil {
		return err
	}
	return s.start(ctx)
}

// RestartEmpty is Restart after a crash that destroyed everything stored. A
// cluster node is still a member, with its slots; a sentinel's or a replica's
// configuration stays.
func (s *Server) RestartEmpty(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.kill(); err != nil {
		return err
	}
	if err := os.RemoveAll(s.dataDir()); err != nil {
		return fmt.Errorf("redistest: %w", err)
	}
	if err := os.Mkdir(s.dataDir(), 0o700); err != nil {
		return fmt.Errorf("redistest: %w", err)
	}
	return s.start(ctx)
}

func (s *Server) down() error {
	return fmt.Errorf("redistest: %s is not running", s.Addr())
}

// infoField picks a field of a reply to INFO.
func infoField(info, name string) string {
	for line := range strings.Lines(info) {
		if value, found := strings.CutPrefix(line, name+":"); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
