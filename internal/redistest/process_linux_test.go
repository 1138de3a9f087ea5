package redistest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// parentVariable turns this test binary into a process that starts a server,
// prints its process id, and waits to be killed.
const parentVariable = "REDISTEST_PARENT"

func TestMain(m *testing.M) {
	if os.Getenv(parentVariable) == "" {
		os.Exit(m.Run())
	}
	s, err := Launch(context.Background(), Options{})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.process.pid())
	select {}
}

func TestServerDiesWithItsParent(t *testing.T) {
	t.Parallel()
	self, err := os.Executable()
	must(t, err)
	parent := exec.Command(self)
	parent.Env = append(os.Environ(), parentVariable+"=1", "TMPDIR="+t.TempDir())
	parent.Stderr = os.Stderr
	output, err := parent.StdoutPipe()
	must(t, err)
	must(t, parent.Start())
	defer parent.Wait()
	defer parent.Process.Kill()

	var pid int
	_, err = fmt.Fscan(bufio.NewReader(output), &pid)
	must(t, err)
	must(t, syscall.Kill(pid, 0))
	must(t, parent.Process.Kill())
	ctx, cancel := bounded(t.Context(), startTimeout)
	defer cancel()
	must(t, poll(ctx, func(context.Context) error { return gone(pid) }))
}

// gone returns nil if no process of that id runs. One that nobody has reaped
// yet does not.
func gone(pid int) error {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil || strings.Contains(string(status), "\nState:\tZ") {
		return nil
	}
	return fmt.Errorf("process %d runs", pid)
}

// TestServerOutlivesThreads ends as many threads as there can be idle ones, of
// which the first was the one that asked for the server.
func TestServerOutlivesThreads(t *testing.T) {
	t.Parallel()
	servers := make(chan *Server)
	go func() {
		defer close(servers)
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		s, err := Launch(context.Background(), Options{})
		if err != nil {
			t.Error(err)
			return
		}
		servers <- s
	}()
	s, ok := <-servers
	if !ok {
		return
	}
	closeAfter(t, s)
	var threads sync.WaitGroup
	for range 50 {
		threads.Go(runtime.LockOSThread)
	}
	threads.Wait()
	expect(t, s, "PONG", "PING")
}
