//go:build unix

package failover_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/backend/redis"
	"github.com/perdure/perdure/internal/redistest"
)

// service is a store with failover on a Redis, at default settings.
func service(t *testing.T, url, prefix, dir string, now func() time.Time) *node {
	t.Helper()
	n := &node{}
	n.openWith(t, failover.Options{
		Open: func(ctx context.Context) (perdure.Backend, error) {
			return redis.Open(ctx, redis.Options{URL: url, Prefix: prefix, TimeoutAll: true})
		},
		Dir: dir, Store: url + " " + prefix, Now: now,
	}, perdure.Options{Now: now})
	return n
}

// killedInAnOutage runs a process that makes 20 sessions, touches them in an outage, and
// is killed in it. It returns their ids, and those of 5 that were made in the outage.
// The server is away then.
func killedInAnOutage(t *testing.T, server *redistest.Server, prefix, dir string) (known, minted []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestTheOneThatIsKilled$")
	cmd.Env = append(os.Environ(), "FAILOVER_TEST_KILLED="+server.URL()+" "+prefix+" "+dir)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	next := func() []string {
		for lines.Scan() {
			if ids, ok := strings.CutPrefix(lines.Text(), "ids "); ok {
				return strings.Fields(ids)
			}
		}
		t.Fatal("the process has ended too early")
		return nil
	}
	known = next()
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(in, "it is away")
	minted = next()
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	return known, minted
}

// TestTheOneThatIsKilled is the process of killedInAnOutage.
func TestTheOneThatIsKilled(t *testing.T) {
	args := strings.Fields(os.Getenv("FAILOVER_TEST_KILLED"))
	if len(args) != 3 {
		t.Skip("it runs in a process of its own")
	}
	n := service(t, args[0], args[1], args[2], nil)
	n.await(t, failover.Healthy)
	var ids []string
	for range 20 {
		ids = append(ids, n.create(t, "u"))
	}
	fmt.Println("ids", strings.Join(ids, " "))
	in := bufio.NewScanner(os.Stdin)
	in.Scan()
	for _, id := range ids[:10] {
		if ok, err := n.Touch(t.Context(), id); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	var minted []string
	for range 5 {
		minted = append(minted, n.create(t, "u"))
	}
	for !copied(t, filepath.Join(args[2], "1", "mirror"), ids[19]) {
		time.Sleep(time.Millisecond)
	}
	fmt.Println("ids", strings.Join(minted, " "))
	in.Scan() // until it is killed
}

// TestAKillInOneOutageAndAStartInTheNext, with a real server, and half an hour between.
func TestAKillInOneOutageAndAStartInTheNext(t *testing.T) {
	server, dir := redistest.Start(t, redistest.Options{Persist: true}), t.TempDir()
	known, minted := killedInAnOutage(t, server, "p:", dir)
	restart(t, server)
	other := service(t, server.URL(), "p:", "", nil)
	other.await(t, failover.Healthy)
	for _, id := range known {
		if ok, err := other.Delete(t.Context(), id); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	later := func() time.Time { return time.Now().Add(30 * time.Minute) }
	n := service(t, server.URL(), "p:", dir, later)
	for _, id := range append(known, minted...) {
		if _, err := n.Get(t.Context(), id); !errors.Is(err, perdure.ErrUnavailable) {
			t.Errorf("%s: %v", id, err)
		}
	}
	if ok, err := n.Delete(t.Context(), minted[0]); !ok || err != nil {
		t.Error(ok, err)
	}
	if err := n.Store.Close(); err != nil {
		t.Fatal(err)
	}
	restart(t, server)
	last := service(t, server.URL(), "p:", dir, nil)
	last.await(t, failover.Healthy)
	last.want(t, false, append(known, minted[0])...)
	last.want(t, true, minted[1:]...)
}

func restart(t *testing.T, server *redistest.Server) {
	t.Helper()
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestTwoServicesInOneDirectory: nothing crosses from one store to another, and health
// says that something waits.
func TestTwoServicesInOneDirectory(t *testing.T) {
	server, dir := redistest.Start(t, redistest.Options{Persist: true}), t.TempDir()
	known, minted := killedInAnOutage(t, server, "a:", dir)
	restart(t, server)
	later := func() time.Time { return time.Now().Add(30 * time.Second) }
	other := service(t, server.URL(), "b:", dir, later)
	other.await(t, failover.Healthy)
	own := other.create(t, "v")
	for _, id := range append(known, minted...) {
		if _, err := other.Get(t.Context(), id); err == nil {
			t.Errorf("%s has crossed", id)
		}
	}
	if h := other.failover.Health(t.Context()); h.Replayed != 0 || h.MirrorRecords > 1 {
		t.Errorf("%+v", h)
	}
	plain := service(t, server.URL(), "b:", "", nil)
	if page, err := plain.List(t.Context(), perdure.ListQuery{}); err != nil || len(page.Sessions) != 1 || page.Sessions[0].ID != own {
		t.Errorf("%+v, %v", page, err)
	}
	if err := other.Store.Close(); err != nil {
		t.Fatal(err)
	}
	much := service(t, server.URL(), "b:", dir, func() time.Time { return time.Now().Add(5 * time.Minute) })
	much.awaitHealth(t, func(h failover.Health) bool {
		return len(h.Kept) == 1 && h.Kept[0].Dir == filepath.Join(dir, "1") && strings.Contains(h.Kept[0].Why, "a:")
	})
	last := service(t, server.URL(), "a:", dir, nil)
	last.await(t, failover.Healthy)
	last.want(t, true, append(known, minted...)...)
	if _, err := last.Get(t.Context(), own); err == nil {
		t.Error("a session has crossed")
	}
}
