package local

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"github.com/perdure/perdure"
)

// blockCommand holds the committer up, as a slow disk does.
type blockCommand struct {
	pingCommand
	running, release chan struct{}
}

func (c blockCommand) run(*stage) {
	close(c.running)
	<-c.release
}

// block holds the committer up until the function that it returns is called.
func block(t *testing.T, b *Backend) (release func()) {
	t.Helper()
	c := blockCommand{running: make(chan struct{}), release: make(chan struct{})}
	done := make(chan error, 1)
	go func() { done <- b.committer.do(context.Background(), c) }()
	<-c.running
	return sync.OnceFunc(func() {
		close(c.release)
		<-done
	})
}

func openTest(t testing.TB, o Options) *Backend {
	t.Helper()
	b, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

func session(n int) perdure.Record {
	user := perdure.HashUser(fmt.Sprint("user ", n))
	v := perdure.NewClock(nil).Tick()
	return perdure.Record{ID: perdure.NewID(user.Partition()), Body: "body", Header: perdure.Header{
		Kind: perdure.KindSession, Version: v, Born: v, User: user,
		Expiry: v.Millis() + 3600_000, Horizon: v.Millis() + 7200_000, LastAccess: v.Millis(),
	}}
}

func putOf(r perdure.Record) []perdure.Batch {
	return []perdure.Batch{{{Op: perdure.OpPut, Record: r}}}
}

func TestAQueuedWriteEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openTest(t, Options{Dir: t.TempDir(), Timeout: 10 * time.Millisecond})
		release := block(t, b)
		defer release()
		cancelled, cancel := context.WithCancel(t.Context())
		go cancel()
		if _, err := b.Apply(cancelled, putOf(session(1))); !errors.Is(err, context.Canceled) {
			t.Errorf("a cancelled write: %v", err)
		}
		deadline, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		for name, ctx := range map[string]context.Context{"own": deadline, "none": t.Context()} {
			if _, err := b.Apply(ctx, putOf(session(2))); !errors.Is(err, perdure.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("a write past its deadline (%s): %v", name, err)
			}
		}
		if _, err := b.Get(t.Context(), session(1).ID); err != nil {
			t.Errorf("a read while the disk is slow: %v", err)
		}
		release()
		if err := b.Ping(t.Context()); err != nil {
			t.Errorf("once the disk is back: %v", err)
		}
	})
}

// The caller may reuse its batches as soon as it has its error.
func TestAnAbandonedWriteIsNotReadFromItsCaller(t *testing.T) {
	b := openTest(t, Options{Dir: t.TempDir()})
	release := block(t, b)
	ctx, cancel := context.WithCancel(t.Context())
	batches := putOf(session(1))
	go cancel()
	if _, err := b.Apply(ctx, batches); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled write: %v", err)
	}
	batches[0][0].Record.ID = "" // the race detector looks on
	release()
}

func TestCloseCarriesOutWhatIsQueued(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		b := openTest(t, Options{Dir: dir, Timeout: time.Minute})
		release := block(t, b)
		const writers = 50
		records := make([]perdure.Record, writers)
		errs := make(chan error, writers)
		for i := range writers {
			records[i] = session(i)
			go func() {
				_, err := b.Apply(t.Context(), putOf(records[i]))
				errs <- err
			}()
		}
		synctest.Wait()
		go release()
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		for range writers {
			if err := <-errs; err != nil {
				t.Errorf("a write that was queued before Close: %v", err)
			}
		}
		if err := b.Close(); !errors.Is(err, perdure.ErrClosed) {
			t.Errorf("a second Close: %v", err)
		}
		stats, err := openTest(t, Options{Dir: dir}).Stats(t.Context())
		if err != nil || stats.Sessions != writers {
			t.Errorf("%d writes were acknowledged, and %d sessions are there, %v", writers, stats.Sessions, err)
		}
	})
}

// Those who write at the same time share a commit.
func TestWritersShareCommits(t *testing.T) {
	b := openTest(t, Options{Dir: t.TempDir(), Timeout: time.Minute})
	const writers, each = 64, 20
	before := commits(t, b)
	var done sync.WaitGroup
	for i := range writers {
		done.Go(func() {
			for range each {
				if _, err := b.Apply(t.Context(), putOf(session(i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done.Wait()
	if n := commits(t, b) - before; n > writers*each/4 {
		t.Errorf("%d writes by %d goroutines took %d commits", writers*each, writers, n)
	}
}

// commits is how many transactions the data file has seen.
func commits(t *testing.T, b *Backend) (n int) {
	t.Helper()
	if err := b.file.db.View(func(tx *bbolt.Tx) error { n = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// Commands of one group see each other, and one that reads an index sees all
// before it.
func TestAGroupIsEvaluatedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openTest(t, Options{Dir: t.TempDir(), Timeout: time.Minute})
		release := block(t, b)
		r := session(1)
		first, second, third := r, r, r
		second.Version.Time++
		third.Version.Time += 2
		epoch := perdure.Record{ID: perdure.EpochID(r.User), Header: perdure.Header{
			Kind: perdure.KindEpoch, Version: r.Version, Born: r.Version, User: r.User, Horizon: r.Horizon,
		}}
		late := session(1)
		late.Born.Time--
		late.Version.Time--
		type answer struct {
			results []perdure.Result
			removed perdure.UserRemoved
			err     error
		}
		var answers []chan answer
		queue := func(f func() answer) {
			done := make(chan answer, 1)
			go func() { done <- f() }()
			synctest.Wait()
			answers = append(answers, done)
		}
		apply := func(r perdure.Record, base perdure.Version) {
			queue(func() (a answer) {
				a.results, a.err = b.Apply(t.Context(), []perdure.Batch{{{Op: perdure.OpPut, Record: r, Base: base}}})
				return a
			})
		}
		apply(first, perdure.Version{})
		apply(second, first.Version)
		apply(third, first.Version) // too late
		queue(func() (a answer) {
			a.removed, a.err = b.RemoveUser(t.Context(), perdure.UserRemoval{Epoch: epoch, Reason: perdure.ReasonRevoked})
			return a
		})
		apply(late, perdure.Version{})
		release()
		var got []answer
		for _, a := range answers {
			got = append(got, <-a)
			if got[len(got)-1].err != nil {
				t.Fatal(got[len(got)-1].err)
			}
		}
		for i, want := range []perdure.Result{
			{Outcome: perdure.Applied}, {Outcome: perdure.Applied}, {Outcome: perdure.Conflict, Stored: second},
		} {
			if got[i].results[0] != want {
				t.Errorf("write %d: %+v, want %+v", i, got[i].results[0], want)
			}
		}
		if removed := got[3].removed.Removed; len(removed) != 1 || removed[0] != second {
			t.Errorf("the removal ended %+v", removed)
		}
		if result := got[4].results[0]; result.Outcome != perdure.Conflict || result.Stored != epoch {
			t.Errorf("a session from before the epoch that was removed beside it: %+v", result)
		}
	})
}

// Where a commit failed and the file shows it all the same, nobody can say what
// is on the disk: the file takes no more writes.
func TestACommitThatIsNotConfirmedIsTheLast(t *testing.T) {
	b := openTest(t, Options{Dir: t.TempDir()})
	cause := errors.New("input/output error")
	now := commits(t, b)
	if err := b.file.undone(now+1, cause); !errors.Is(err, perdure.ErrUnavailable) || !errors.Is(err, cause) || b.file.failed != nil {
		t.Errorf("a commit that is not in the file: %v, %v", err, b.file.failed)
	}
	if err := b.Ping(t.Context()); err != nil {
		t.Errorf("after a commit that is not in the file: %v", err)
	}
	if err := b.file.undone(commits(t, b), cause); !errors.Is(err, perdure.ErrUnavailable) || !errors.Is(err, cause) {
		t.Errorf("a commit that was not confirmed: %v", err)
	}
	if err := b.Ping(t.Context()); !errors.Is(err, perdure.ErrUnavailable) || !errors.Is(err, cause) {
		t.Errorf("after a commit that was not confirmed: %v", err)
	}
}
