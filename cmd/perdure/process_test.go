package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"

	"github.com/perdure/perdure/internal/redistest"
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
	return startLogging(t, nil, env...)
}

// startLogging is startProcess with a log of its own.
func startLogging(t *testing.T, log *os.File, env ...string) (*exec.Cmd, *daemonProcess) {
	t.Helper()
	c := exec.Command(os.Args[0], "serve", "--json")
	c.Env = append(os.Environ(), append([]string{asMain + "=1", "PERDURE_LISTEN=127.0.0.1:0", "PERDURE_ADMIN_LISTEN=127.0.0.1:0"}, env...)...)
	if log != nil {
		c.Stderr = log
	}
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

// TestSecondSignal ends a stop that takes its time. The signal is one that no shell
// ignores for what it starts in the background.
func TestSecondSignal(t *testing.T) {
	c, d := startProcess(t, "PERDURE_DATA_DIR=none", "PERDURE_DRAIN=5m")
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for red := false; !red; {
		r := cli(t, nil, "list", "--store", d.url()) // still served
		status, body := readiness(t, d.url())
		if red = strings.Contains(body, "stopping"); red && (status != http.StatusServiceUnavailable || r.code != exitOK) {
			t.Errorf("while it stops: %d %s, %+v", status, body, r)
		}
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); signalled(err) != syscall.SIGTERM {
		t.Errorf("after a second signal: %v", err)
	}
}

// TestHangUp: the end of a terminal stops the daemon as SIGTERM does.
func TestHangUp(t *testing.T) {
	if signal.Ignored(syscall.SIGHUP) {
		t.Skip("SIGHUP is ignored here, as under nohup, and then by the daemon too")
	}
	c, d := startProcess(t, "PERDURE_DATA_DIR="+t.TempDir(), "PERDURE_DRAIN=-1")
	d.create(`{"userId":"ada"}`)
	if err := c.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("after SIGHUP it ended with %v", err)
	}
}

// TestLogWithoutReader: a log pipe whose other end has gone does not end the daemon
// in the moment when it has something to say.
func TestLogWithoutReader(t *testing.T) {
	redis := redistest.Start(t, redistest.Options{})
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c, d := startLogging(t, writer, "REDIS_URL="+redis.URL(), "PERDURE_DATA_DIR="+t.TempDir(), "PERDURE_DRAIN=-1")
	writer.Close()
	d.create(`{"userId":"ada"}`)
	reader.Close()
	if err := redis.Kill(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		d.create(`{"userId":"ada"}`)
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
}
