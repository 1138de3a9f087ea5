//go:build unix

package local_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// On a full disk sessions can still be ended, by their hundreds, one by one and many at
// a time, whatever logins had used up the room; no login takes what is kept for that;
// and once there is room all is as before.
func TestAFullDiskHasRoomForEnds(t *testing.T) {
	dir := t.TempDir()
	c := startChild(t, "end sessions on a full disk", dir)
	for c.lines.Scan() {
		t.Error(c.lines.Text())
	}
	if err := c.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	b := open(t, local.Options{Dir: dir})
	if stats, err := b.Stats(t.Context()); err != nil || stats.Tombstones != endsOnAFullDisk {
		t.Errorf("%d ends were acknowledged and %d are there, %v", endsOnAFullDisk, stats.Tombstones, err)
	}
}

const endsOnAFullDisk = 200

func endSessionsOnAFullDisk(dir string) error {
	signal.Ignore(syscall.SIGXFSZ)
	b, err := local.Open(local.Options{Dir: dir, Timeout: time.Minute})
	if err != nil {
		return err
	}
	if err := b.Ping(context.Background()); err != nil {
		return err
	}
	info, err := os.Stat(dataFile(dir))
	if err != nil {
		return err
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return err
	}
	full := func(is bool) error {
		l := limit
		if is {
			l.Cur = uint64(info.Size())
		}
		return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l)
	}
	if err := full(true); err != nil {
		return err
	}
	if _, err := fillUp(b); err != nil {
		return err
	}
	if err := endUnknown(b, endsOnAFullDisk); err != nil {
		return err
	}
	if taken, err := fillUp(b); err != nil {
		return err
	} else if taken > 0 {
		fmt.Printf("%d logins took room that is kept for ends\n", taken)
	}
	if err := b.Ping(context.Background()); !errors.Is(err, perdure.ErrUnavailable) {
		fmt.Printf("a ping of a full disk: %v\n", err)
	}
	if err := full(false); err != nil {
		return err
	}
	if err := login(b); err != nil {
		fmt.Printf("a login when there is room: %v\n", err)
	}
	if err := b.Ping(context.Background()); err != nil {
		fmt.Printf("a ping when there is room: %v\n", err)
	}
	return b.Close()
}

// login stores a session.
func login(b *local.Backend) error {
	_, err := b.Apply(context.Background(), []perdure.Batch{put(newSessions(1)[0], perdure.Version{})})
	return err
}

// fillUp stores sessions until that is refused several times in a row.
func fillUp(b *local.Backend) (taken int, err error) {
	for refused := 0; refused < 5; {
		switch err := login(b); {
		case errors.Is(err, perdure.ErrUnavailable):
			refused++
		case err != nil:
			return taken, err
		default:
			taken, refused = taken+1, 0
		}
	}
	return taken, nil
}

// endUnknown plants the tombstones of sessions that are not there, half of them one by
// one.
func endUnknown(b *local.Backend, n int) error {
	end := func() error {
		tomb := newSessions(1)[0]
		tomb.Kind, tomb.Body = perdure.KindTombstone, ""
		results, err := b.Apply(context.Background(), []perdure.Batch{put(tomb, perdure.Version{})})
		if err == nil {
			err = results[0].Err
		}
		return err
	}
	refused := 0
	var last error
	note := func(err error) {
		if err != nil {
			refused++
			last = err
		}
	}
	for range n / 2 {
		note(end())
	}
	errs := make(chan error, n/2)
	var ending sync.WaitGroup
	for range n / 2 {
		ending.Go(func() { errs <- end() })
	}
	ending.Wait()
	close(errs)
	for err := range errs {
		note(err)
	}
	if refused > 0 {
		fmt.Printf("%d of %d ends were refused: %v\n", refused, n, last)
	}
	return nil
}
