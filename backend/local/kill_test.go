package local_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// A process that writes and is killed at a random moment has lost nothing that
// it had acknowledged, and has left no half of a batch.
func TestKillLosesNothingAcknowledged(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 8
	}
	dir := t.TempDir()
	acknowledged := map[string]ack{}
	for round := range rounds {
		c := startChild(t, "write until killed", dir)
		for n := rand.IntN(400); n >= 0 && c.lines.Scan(); n-- {
			note(t, acknowledged, c.lines.Text())
		}
		c.cmd.Process.Kill()
		for c.lines.Scan() { // what it had said before it died
			note(t, acknowledged, c.lines.Text())
		}
		c.cmd.Wait()
		verify(t, dir, acknowledged)
		if t.Failed() {
			t.Fatalf("after round %d", round)
		}
	}
	t.Logf("%d sessions were acknowledged in %d rounds", len(acknowledged), rounds)
}

// ack is the last that was acknowledged of a session.
type ack struct {
	version perdure.Version
	dead    bool
}

func note(t *testing.T, acknowledged map[string]ack, line string) {
	var id, version string
	var dead bool
	if _, err := fmt.Sscanf(line, "%s %s %t.", &id, &version, &dead); err != nil {
		return // the line was being written when the process died
	}
	v, err := perdure.ParseVersion(version)
	if err != nil {
		t.Fatal(err)
	}
	acknowledged[id] = ack{v, dead}
}

func verify(t *testing.T, dir string, acknowledged map[string]ack) {
	t.Helper()
	b, err := local.Open(local.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for id, want := range acknowledged {
		got, err := b.Get(t.Context(), id)
		switch {
		case err != nil:
			t.Errorf("%s: %v", id, err)
		case !got.Exists() || got.Version.Before(want.version):
			t.Errorf("%s was acknowledged at %s and is at %q after the kill", id, want.version, got.Version)
		case want.dead && got.Kind != perdure.KindTombstone:
			t.Errorf("%s was ended and is alive after the kill", id)
		}
	}
	for _, r := range scanAll(t, b) {
		if r.Parent == "" {
			continue
		}
		if parent, err := b.Get(t.Context(), r.Parent); err != nil || parent.Kind != perdure.KindTombstone {
			t.Errorf("%s is there, and its parent, ended by the same batch, is %+v, %v", r.ID, parent, err)
		}
	}
}

func scanAll(t testing.TB, b perdure.Backend) (all []perdure.Record) {
	t.Helper()
	q := perdure.ScanQuery{Limit: 5000, Dead: true}
	for {
		page, err := b.Scan(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Records...)
		if q.After = page.Next; q.After == "" {
			return all
		}
	}
}

// writeUntilKilled creates, changes, touches, rotates and ends sessions, and
// says on a line what was acknowledged.
func writeUntilKilled(dir string) error {
	b, err := local.Open(local.Options{Dir: dir, Timeout: time.Minute})
	if err != nil {
		return err
	}
	clock := perdure.NewClock(nil)
	var said sync.Mutex
	say := func(r *perdure.Record) {
		said.Lock()
		defer said.Unlock()
		fmt.Printf("%s %s %t.\n", r.ID, r.Version, r.Kind == perdure.KindTombstone)
	}
	failed := make(chan error)
	for range 8 {
		go func() {
			for {
				if err := liveALife(b, clock, say); err != nil {
					failed <- err
				}
			}
		}()
	}
	go func() {
		io.Copy(io.Discard, os.Stdin)
		failed <- nil // the test is gone
	}()
	return <-failed
}

// liveALife takes a session from its creation to its end, or leaves it there.
func liveALife(b *local.Backend, clock *perdure.Clock, say func(*perdure.Record)) error {
	user := perdure.UserKeyFrom([16]byte(randomBytes(16)))
	r := newSession(user, perdure.NewID(user.Partition()), clock, strings.Repeat("b", rand.IntN(2000)))
	do := func(batch ...perdure.Write) error {
		results, err := b.Apply(context.Background(), []perdure.Batch{batch})
		if err == nil {
			err = results[0].Err
		}
		if err == nil && results[0].Outcome != perdure.Applied {
			err = fmt.Errorf("%+v was not applied: %+v", batch, results[0])
		}
		return err
	}
	if err := do(perdure.Write{Op: perdure.OpPut, Record: r}); err != nil {
		return err
	}
	say(&r)
	for range rand.IntN(4) {
		base := r.Version
		r.Version, r.Body = clock.Tick(), strings.Repeat("c", rand.IntN(2000))
		if err := do(perdure.Write{Op: perdure.OpPut, Record: r, Base: base}); err != nil {
			return err
		}
		say(&r)
	}
	if rand.IntN(3) == 0 {
		successor := r
		successor.ID, successor.Parent, successor.Version = perdure.NewID(user.Partition()), r.ID, clock.Tick()
		tomb := r
		tomb.Kind, tomb.Reason, tomb.Version, tomb.Body = perdure.KindTombstone, perdure.ReasonRotated, successor.Version, successor.ID
		err := do(
			perdure.Write{Op: perdure.OpPut, Record: successor},
			perdure.Write{Op: perdure.OpPut, Record: tomb, Base: r.Version},
		)
		if err != nil {
			return err
		}
		say(&successor)
		say(&tomb)
		r = successor
	}
	if rand.IntN(3) == 0 {
		r.Kind, r.Version, r.Reason = perdure.KindTombstone, clock.Tick(), perdure.ReasonLogout
		if err := do(perdure.Write{Op: perdure.OpRemove, Record: r}); err != nil {
			return err
		}
		say(&r)
	}
	return nil
}
