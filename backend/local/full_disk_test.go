//go:build unix

package local_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// On a full disk writes are refused and change nothing; once there is room they
// are taken again; and what was acknowledged is there after a restart. A limit
// on the size of files, in a process of its own, stands for the disk.
func TestAFullDiskChangesNothing(t *testing.T) {
	dir := t.TempDir()
	c := startChild(t, "write to a full disk", dir)
	acknowledged := 0
	for c.lines.Scan() {
		var id string
		if _, err := fmt.Sscanf(c.lines.Text(), "stored %s", &id); err != nil {
			t.Error(c.lines.Text())
			continue
		}
		acknowledged++
	}
	if err := c.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	b := open(t, local.Options{Dir: dir})
	if stats, err := b.Stats(t.Context()); err != nil || stats.Sessions != int64(acknowledged) {
		t.Errorf("%d sessions were acknowledged and %d are there, %v", acknowledged, stats.Sessions, err)
	}
}

func writeToAFullDisk(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	b, err := local.Open(local.Options{Dir: dir, Timeout: time.Minute})
	if err != nil {
		return err
	}
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	for _, room := range []uint64{3 << 20, 5 << 20, limit.Max} {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: room, Max: limit.Max}); err != nil {
			return err
		}
		if err := fillTheDisk(b, out, room == limit.Max); err != nil {
			return err
		}
	}
	return b.Close()
}

// fillTheDisk writes sessions until the disk is full, or where it has room a
// hundred, and then looks whether the write that failed has left a trace.
func fillTheDisk(b *local.Backend, out *bufio.Writer, room bool) error {
	ctx := context.Background()
	if err := b.Ping(ctx); err != nil {
		return fmt.Errorf("there is room, and a ping says %w", err)
	}
	for n := 0; ; n++ {
		before, err := b.Stats(ctx)
		if err != nil {
			return err
		}
		start, err := b.Changes(ctx, perdure.FromNow, 1, 0)
		if err != nil {
			return err
		}
		r := newSessions(1)[0]
		r.Body = strings.Repeat("x", 20_000)
		results, err := b.Apply(ctx, []perdure.Batch{put(r, perdure.Version{})})
		if err == nil && results[0].Outcome == perdure.Applied {
			fmt.Fprintln(out, "stored", r.ID)
			if room && n == 100 {
				return b.Ping(ctx)
			}
			continue
		}
		if room || !errors.Is(err, perdure.ErrUnavailable) || !strings.Contains(err.Error(), "make room") {
			return fmt.Errorf("a write to a full disk: %+v, %w", results, err)
		}
		after, err := b.Stats(ctx)
		if err != nil {
			return err
		}
		changes, err := b.Changes(ctx, start.Next, 1, 0)
		if err != nil {
			return err
		}
		record, err := b.Get(ctx, r.ID)
		if err != nil || record.Exists() || after.Bytes != before.Bytes || after.Sessions != before.Sessions || len(changes.Changes) > 0 {
			return fmt.Errorf("the write that failed left a trace: %+v, %v, %+v, %+v, %v", record, err, before, after, changes)
		}
		for range 3 {
			if err := b.Ping(ctx); !errors.Is(err, perdure.ErrUnavailable) {
				return fmt.Errorf("a write was refused, and a ping says %w", err)
			}
		}
		return nil
	}
}
