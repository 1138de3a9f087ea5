package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
)

// migration is a migrate run in a process of its own, whose lines are waited for.
type migration struct {
	*exec.Cmd
	stderr *lines
}

func startMigration(t *testing.T, args ...string) *migration {
	t.Helper()
	m := &migration{exec.Command(os.Args[0], append([]string{"migrate", "run"}, args...)...), &lines{seen: make(chan string, 1000)}}
	m.Env = append(os.Environ(), asMain+"=1")
	m.Stderr = struct{ io.Writer }{m.stderr} // which would read the pipe by itself
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Process.Kill() })
	return m
}

// await returns when a line begins so.
func (m *migration) await(t *testing.T, begins string) {
	t.Helper()
	for {
		select {
		case line := <-m.stderr.seen:
			if strings.HasPrefix(line, begins) {
				return
			}
		case <-t.Context().Done():
			t.Fatal("it was waited for in vain:", begins)
		}
	}
}

// interrupt has it cut over, and returns its exit code.
func (m *migration) interrupt(t *testing.T) int {
	t.Helper()
	if err := m.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	return m.end(t)
}

func (m *migration) end(t *testing.T) int {
	t.Helper()
	err := m.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return exitOK
}

func verified0(t *testing.T, from, to string) {
	t.Helper()
	if r := cli(t, nil, "migrate", "verify", "--from", from, "--to", to); r.code != exitOK {
		t.Errorf("%+v", r)
	}
}

// TestMigrateToATargetThatRestartsEmpty: exit code 0 says that the target has all, also
// if it is another than when the stores came into step.
func TestMigrateToATargetThatRestartsEmpty(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t, redistest.Options{}), redistest.Start(t, redistest.Options{})
	sessionsAt(t, one.URL(), 400)
	m := startMigration(t, "--from", one.URL(), "--to", two.URL(), "--checkpoint", "none", "--live")
	m.await(t, "in step")
	if err := two.RestartEmpty(t.Context()); err != nil {
		t.Fatal(err)
	}
	if code := m.interrupt(t); code != exitOK {
		t.Errorf("%d: %s", code, m.stderr)
	}
	verified0(t, one.URL(), two.URL())
}

// TestMigrateBothWaysKilled: what was done at the new store while the tool was dead is
// done at the old one when it is resumed: logouts, logins, changes and revocations.
func TestMigrateBothWaysKilled(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t, redistest.Options{}), redistest.Start(t, redistest.Options{})
	from, sessions := sessionsAt(t, one.URL(), 120)
	args := []string{"--from", one.URL(), "--to", two.URL(), "--checkpoint", filepath.Join(t.TempDir(), "checkpoint"), "--live", "--reverse"}
	m := startMigration(t, args...)
	m.await(t, "in step")
	if err := m.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	m.Wait() // as killed
	to, _ := sessionsAt(t, two.URL(), 0)
	var ended, made []string
	for _, s := range sessions[:50] {
		if ok, err := to.Delete(t.Context(), s.ID); !ok || err != nil {
			t.Fatal(ok, err)
		}
		ended = append(ended, s.ID)
	}
	for i := range 50 {
		s, err := to.Create(t.Context(), perdure.Data{UserID: fmt.Sprint("late", i)})
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, s.ID)
	}
	m = startMigration(t, append(args, "--resume")...)
	m.await(t, "in step")
	if code := m.interrupt(t); code != exitOK {
		t.Errorf("%d: %s", code, m.stderr)
	}
	risen, lost := 0, 0
	for _, id := range ended {
		if ok, err := from.Exists(t.Context(), id); ok || err != nil {
			risen++
		}
	}
	for _, id := range made {
		if ok, err := from.Exists(t.Context(), id); !ok || err != nil {
			lost++
		}
	}
	if risen+lost > 0 {
		t.Errorf("%d of %d logouts at the new store are undone at the old one, %d of %d logins unknown", risen, len(ended), lost, len(made))
	}
	verified0(t, one.URL(), two.URL())
}

// TestMigrateFindsNothing: nothing where there is something under another prefix is no
// success, and where that is is said.
func TestMigrateFindsNothing(t *testing.T) {
	t.Parallel()
	server, empty := redistest.Start(t, redistest.Options{}), redistest.Start(t, redistest.Options{})
	sessionsAt(t, server.URL()+"?prefix=other:", 10)
	in := time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano)
	for key, value := range map[string]string{
		"mcp:session:9b1deb4d-3b7d-4bad-9bdd-000000000001": fmt.Sprintf(`{"id":"9b1deb4d-3b7d-4bad-9bdd-000000000001","data":{"userId":"u","username":"n","roles":["r"],"createdAt":"2026-01-02T03:04:05.678Z","expiresAt":%q},"lastAccessedAt":"2026-01-02T03:04:06.000Z"}`, in),
		"web:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa":             fmt.Sprintf(`{"cookie":{"expires":%q},"userId":"ada"}`, in),
		"cache:session:1":                                  "no session",
	} {
		if _, err := server.Do("SET", key, value); err != nil {
			t.Fatal(err)
		}
	}
	for from, want := range map[string]string{
		server.URL():                    `has some at "other:";`,
		"puppeteer-mcp+" + server.URL(): `has some at "mcp:";`,
		"connect-redis+" + server.URL(): `has some at "web:";`,
		empty.URL():                     "",
		"puppeteer-mcp+" + empty.URL():  "",
		server.URL() + "?prefix=other:": "",
	} {
		for _, verb := range []string{"plan", "run"} {
			args := []string{"migrate", verb, "--from", from, "--to", "file:" + filepath.Join(t.TempDir(), "data")}
			if verb == "run" {
				args = append(args, "--checkpoint", "none")
			}
			r := cli(t, nil, args...)
			if want == "" && r.code != exitOK || want != "" && (r.code != exitError || !strings.Contains(r.stderr, want)) {
				t.Errorf("%v: %+v", args, r)
			}
		}
	}
}

// TestMigrateToAReplica: a plan promises nothing that its target would refuse.
func TestMigrateToAReplica(t *testing.T) {
	t.Parallel()
	one, two := redistest.Start(t, redistest.Options{}), redistest.Start(t, redistest.Options{})
	sessionsAt(t, one.URL(), 10)
	host, port, _ := strings.Cut(one.Addr(), ":")
	if _, err := two.Do("REPLICAOF", host, port); err != nil {
		t.Fatal(err)
	}
	r := cli(t, nil, "migrate", "plan", "--from", one.URL(), "--to", two.URL())
	if r.code != exitError || !strings.Contains(r.stderr, "the target takes no sessions") || !strings.Contains(r.stderr, "READONLY") {
		t.Errorf("%+v", r)
	}
}
