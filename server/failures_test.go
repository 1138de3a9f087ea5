package server

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
)

// lockedBuffer is what several goroutines write to.
type lockedBuffer struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all.Write(p)
}

// take returns what was written since it was called last.
func (b *lockedBuffer) take() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := b.all.String()
	b.all.Reset()
	return text
}

// However many calls fail, the log has a line for each kind, and a count a minute.
func TestFailuresAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		f := newFailures(slog.New(slog.NewTextHandler(&log, nil)), failureInterval)
		lines := func() []string {
			synctest.Wait()
			text := strings.TrimSpace(log.take())
			if text == "" {
				return nil
			}
			return strings.Split(text, "\n")
		}
		for range 2000 {
			f.add(t.Context(), failure{"Get", connect.CodeUnavailable}, 0, errors.New("first"))
			f.add(t.Context(), failure{"Create", connect.CodeUnavailable}, 0, errors.New("other"))
		}
		if got := lines(); len(got) != 2 {
			t.Errorf("4000 failures of two kinds made %d lines: %q", len(got), got)
		}
		time.Sleep(failureInterval)
		if got := lines(); len(got) != 2 || !strings.Contains(got[0], "more=1999") {
			t.Errorf("after a minute the log says %q", got)
		}
		time.Sleep(2 * failureInterval)
		if got := lines(); len(got) != 0 {
			t.Errorf("without failures the log says %q", got)
		}
		f.add(t.Context(), failure{"Get", connect.CodeUnavailable}, 0, errors.New("again"))
		if got := lines(); len(got) != 1 || !strings.Contains(got[0], "again") {
			t.Errorf("a failure after a quiet time is logged as %q", got)
		}
		time.Sleep(failureInterval)
	})
}
