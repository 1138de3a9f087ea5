package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// result is what a command line left behind.
type result struct {
	code           int
	stdout, stderr string
}

// cli runs a command line to its end.
func cli(t *testing.T, env []string, args ...string) result {
	t.Helper()
	return cliIn(t.Context(), env, args...)
}

func cliIn(ctx context.Context, env []string, args ...string) result {
	var stdout, stderr bytes.Buffer
	code := run(ctx, args, env, strings.NewReader(""), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// daemonProcess is a serve that runs beside the test.
type daemonProcess struct {
	t    *testing.T
	up   announcement
	stop context.CancelFunc
	done chan result
}

// startDaemon runs serve until it has said where it listens.
func startDaemon(t *testing.T, env ...string) *daemonProcess {
	t.Helper()
	d := launch(t, env...)
	if d.up.Listen == "" {
		t.Fatalf("serve did not start: %+v", <-d.done)
	}
	return d
}

// refused is what is left of a serve that does not start.
func refused(t *testing.T, env ...string) result {
	t.Helper()
	d := launch(t, env...)
	if d.up.Listen != "" {
		t.Errorf("serve started with %q", env)
		d.stop()
	}
	return <-d.done
}

// launch runs serve until it has said where it listens, or has ended.
func launch(t *testing.T, env ...string) *daemonProcess {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	d := &daemonProcess{t: t, stop: stop, done: make(chan result, 1)}
	reader, writer := io.Pipe()
	var stderr bytes.Buffer
	env = append([]string{"PERDURE_LISTEN=127.0.0.1:0", "PERDURE_ADMIN_LISTEN=127.0.0.1:0", "PERDURE_DRAIN=-1", "PERDURE_DATA_DIR=" + t.TempDir()}, env...)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		code := run(ctx, []string{"serve", "--json"}, env, strings.NewReader(""), writer, &stderr)
		writer.Close()
		d.done <- result{code, "", stderr.String()}
	}()
	lines := bufio.NewReader(reader)
	t.Cleanup(func() { stop(); <-ended })
	line, err := lines.ReadString('\n')
	if err != nil {
		return d
	}
	go io.Copy(io.Discard, lines)
	if err := json.Unmarshal([]byte(line), &d.up); err != nil {
		t.Fatalf("serve announced %q: %v", line, err)
	}
	return d
}

func (d *daemonProcess) url() string { return "http://" + d.up.Listen }

// end stops the daemon as a signal would, and waits.
func (d *daemonProcess) end() result {
	d.stop()
	return <-d.done
}

// create makes a session through the daemon, as curl would.
func (d *daemonProcess) create(body string) session {
	d.t.Helper()
	response, err := http.Post(d.url()+"/perdure.v1.SessionService/CreateSession", "application/json", strings.NewReader(body))
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	var reply struct{ Session session }
	if err := json.NewDecoder(response.Body).Decode(&reply); err != nil || reply.Session.ID == "" {
		d.t.Fatalf("%s: %v", response.Status, err)
	}
	return reply.Session
}

// decode reads JSON lines.
func decode[T any](t *testing.T, text string) (all []T) {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	for {
		var one T
		err := decoder.Decode(&one)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		all = append(all, one)
	}
}

// readiness is what /readyz answers.
func readiness(t *testing.T, url string) (status int, body string) {
	t.Helper()
	response, err := http.Get(url + "/readyz?verbose")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}
