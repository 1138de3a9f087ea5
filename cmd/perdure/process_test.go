package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// asMain is set for the processes that these tests start: the test binary is
// then the command.
const asMain = "PERDURE_TEST_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
	}
	os.Exit(m.Run())
}

// startProcess runs serve as a process of its own until it listens.
func startProcess(t *testing.T, env ...string) (*exec.Cmd, *daemonProcess) {
	t.Helper()
	c := exec.Command(os.Args[0], "serve", "--json")
	c.Env = append(os.Environ(), append([]string{asMain + "=1", "PERDURE_LISTEN=127.0.0.1:0", "PERDURE_ADMIN_LISTEN=127.0.0.1:0"}, env...)...)
	stdout, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() })
	d := &daemonProcess{t: t}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &d.up)
	}
	if err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, stdout)
	return c, d
}

// signalled is the signal that ended a process, or 0.
func signalled(err error) syscall.Signal {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return status.Signal()
		}
	}
	return 0
}

// TestKilled: what was acknowledged survives kill -9.
func TestKilled(t *testing.T) {
	data := "PERDURE_DATA_DIR=" + t.TempDir()
	c, d := startProcess(t, data)
	id := d.create(`{"userId":"ada"}`).ID
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); signalled(err) != syscall.SIGKILL {
		t.Fatal(err)
	}
	c, d = startProcess(t, data, "PERDURE_DRAIN=-1")
	if r := cli(t, nil, "get", "--store", d.url(), id); r.code != exitOK {
		t.Errorf("%+v", r)
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	if r := cli(t, []string{data}, "get", id); r.code != exitOK {
		t.Errorf("%+v", r)
	}
}

// TestSecondSignal ends a stop that takes its time.
func TestSecondSignal(t *testing.T) {
	c, d := startProcess(t, "PERDURE_DATA_DIR=none", "PERDURE_DRAIN=5m")
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	for red := false; !red; {
		r := cli(t, nil, "list", "--store", d.url()) // still served
		status, body := readiness(t, d.url())
		if red = strings.Contains(body, "stopping"); red && (status != http.StatusServiceUnavailable || r.code != exitOK) {
			t.Errorf("while it stops: %d %s, %+v", status, body, r)
		}
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); signalled(err) != syscall.SIGINT {
		t.Errorf("after a second signal: %v", err)
	}
}
