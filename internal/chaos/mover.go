package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"github.com/perdure/perdure/backend/redis"
	"github.com/perdure/perdure/migrate"
)

// mover keeps a migration running over all its lives, seen from here.
type mover struct {
	settings settings

	mu      sync.Mutex
	command *exec.Cmd
	in      io.WriteCloser
	replies chan Reply // of this life; closed at its end
}

func newMover(cell *Cell, site *site, dir string) *mover {
	return &mover{settings: settings{Migration: &migration{
		From: site.single.URL(), To: site.other.URL(), Checkpoint: filepath.Join(dir, "checkpoint"), Plain: cell.plain, Bug: cell.migration,
	}}}
}

// start begins a life.
func (m *mover) start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	command, in, out, err := launch()
	if err != nil {
		return err
	}
	m.command, m.in = command, in
	m.replies = make(chan Reply, 16)
	go func(replies chan<- Reply) {
		defer close(replies)
		for decoder := json.NewDecoder(out); ; {
			var p Reply
			if decoder.Decode(&p) != nil {
				return
			}
			replies <- p
		}
	}(m.replies)
	return json.NewEncoder(m.in).Encode(m.settings)
}

// kill ends a life as a crash does.
func (m *mover) kill() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.command == nil {
		return nil
	}
	err := m.command.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	for range m.replies { // until all that it said was heard
	}
	m.command.Wait() // reports the signal
	m.command = nil
	return err
}

// again begins another life.
func (m *mover) again() error { return errors.Join(m.kill(), m.start()) }

// await returns when the migration is in step, or has ended: one that gave up is begun
// again.
func (m *mover) await(ctx context.Context) error {
	for {
		select {
		case p, ok := <-m.replies:
			switch {
			case ok && p.Kind == InStep:
				return nil
			case ok && p.Kind != CutOver:
			default:
				if err := m.again(); err != nil {
					return err
				}
			}
		case <-ctx.Done():
			return fmt.Errorf("chaos: the migration did not come into step: %w", ctx.Err())
		}
	}
}

// cutOver ends the migration, and reports whether it said that all was well: else it
// stays with the source, and can be begun again.
func (m *mover) cutOver(ctx context.Context) (done bool, why string, err error) {
	if err := json.NewEncoder(m.in).Encode(Request{Kind: CutOver}); err != nil {
		return false, err.Error(), nil // it has ended
	}
	return m.end(ctx)
}

// pause stops the migration, as SIGSTOP does, and reports whether it had ended before:
// what it has said by then was heard.
func (m *mover) pause(ctx context.Context, s *stage) (ended bool, err error) {
	if err := stopProcess(m.command.Process); err != nil {
		return true, nil // it is gone
	}
	s.pass(ctx, 30*time.Millisecond)
	return len(m.replies) > 1, nil // beside that it has begun
}

func (m *mover) resume() error {
	if err := continueProcess(m.command.Process); !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	return nil
}

// end waits for the end of a plain run, and reports whether it said that all was well.
func (m *mover) end(ctx context.Context) (done bool, why string, err error) {
	for {
		select {
		case p, ok := <-m.replies:
			if !ok {
				return false, "it died", nil
			}
			if p.Kind == CutOver {
				return p.Outcome == Acknowledged, p.Error, nil
			}
		case <-ctx.Done():
			return false, "", ctx.Err()
		}
	}
}

// verify compares the two stores, in both directions unless it went one way.
func (m *mover) verify(ctx context.Context) (migrate.Report, error) {
	from, err := redis.Open(ctx, redis.Options{URL: m.settings.Migration.From, Timeout: callTimeout})
	if err != nil {
		return migrate.Report{}, err
	}
	defer from.Close()
	to, err := redis.Open(ctx, redis.Options{URL: m.settings.Migration.To, Timeout: callTimeout})
	if err != nil {
		return migrate.Report{}, err
	}
	defer to.Close()
	report, err := migrate.Verify(ctx, migrate.FromBackend(from), to, migrate.VerifyOptions{OneWay: m.settings.Migration.Plain})
	if errors.Is(err, migrate.ErrDiffers) {
		err = nil
	}
	return report, err
}
