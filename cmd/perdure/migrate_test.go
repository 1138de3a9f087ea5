package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/redis"
	"github.com/perdure/perdure/internal/redistest"
)

// sessionsAt fills a store on Redis with sessions and tombstones.
func sessionsAt(t *testing.T, url string, n int) (*perdure.Store, []perdure.Session) {
	t.Helper()
	b, err := redis.Open(t.Context(), redis.Options{URL: url, Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	store, err := perdure.New(b, perdure.Options{SweepInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	var sessions []perdure.Session
	for i := range n {
		s, err := store.Create(t.Context(), perdure.Data{UserID: fmt.Sprint("user", i/2), Metadata: map[string]any{"i": i}})
		if err == nil && i%10 == 9 {
			_, err = store.Delete(t.Context(), s.ID)
		} else {
			sessions = append(sessions, s)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return store, sessions
}

// TestMigrate plans, moves and verifies, between Redis and a data directory and
// back.
func TestMigrate(t *testing.T) {
	one, two := redistest.Start(t, redistest.Options{Password: "hunter2"}), redistest.Start(t, redistest.Options{})
	store, sessions := sessionsAt(t, one.URL(), 100)
	dir := "file:" + filepath.Join(t.TempDir(), "data")
	checkpoint := filepath.Join(t.TempDir(), "checkpoint")
	step := func(code int, verb, from, to string, more ...string) result {
		t.Helper()
		args := append([]string{"migrate", verb, "--from", from, "--to", to}, more...)
		if verb == "run" {
			args = append(args, "--checkpoint", checkpoint)
		}
		r := cli(t, nil, args...)
		if r.code != code || strings.Contains(r.stdout+r.stderr, "hunter2") {
			t.Errorf("%v: %+v", args, r)
		}
		return r
	}
	plan := decode[map[string]any](t, step(exitOK, "plan", one.URL(), dir, "--json").stdout)
	if len(plan) != 1 || plan[0]["sessions"] != 90.0 || plan[0]["tombstones"] != 10.0 || plan[0]["held"] != 0.0 {
		t.Errorf("planned %v", plan)
	}
	if r := step(exitError, "verify", one.URL(), dir); !strings.Contains(r.stderr, "--to: there is no store") {
		t.Errorf("%+v", r)
	}
	if r := step(exitOK, "run", one.URL(), dir, "--dry-run"); !strings.Contains(r.stdout, "estimate") {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat(strings.TrimPrefix(dir, "file:")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a look has made a store: %v", err)
	}
	step(exitUnverified, "verify", one.URL(), two.URL())
	moved := decode[map[string]any](t, step(exitOK, "run", one.URL(), dir, "--json").stdout)
	if len(moved) != 1 || moved[0]["migrated"] != 90.0 || moved[0]["failed"] != 0.0 || moved[0]["seconds"] == nil {
		t.Errorf("moved %v", moved)
	}
	if r := step(exitOK, "run", dir, two.URL()); !strings.Contains(r.stdout, "migrated") {
		t.Errorf("%+v", r)
	}
	same := decode[map[string]any](t, step(exitOK, "verify", one.URL(), two.URL(), "--json").stdout)
	if len(same) != 1 || same[0]["same"] != true || same[0]["checked"] != 90.0 || same[0]["reverse"] != 90.0 {
		t.Errorf("%v", same)
	}
	if _, err := store.Delete(t.Context(), sessions[0].ID); err != nil {
		t.Fatal(err)
	}
	if r := step(exitUnverified, "verify", one.URL(), two.URL()); !strings.Contains(strings.Join(strings.Fields(r.stdout), " "), "revived "+sessions[0].ID+" logout") {
		t.Errorf("%+v", r)
	}
	step(exitOK, "run", one.URL(), two.URL(), "--user", "user1", "--created-after", "1h", "--skip-existing")
	step(exitOK, "run", one.URL(), two.URL()+"?prefix=other:", "--delete-migrated")
	if r := step(exitOK, "plan", one.URL(), two.URL(), "--json"); decode[map[string]any](t, r.stdout)[0]["sessions"] != 0.0 {
		t.Errorf("%+v", r)
	}
	if r := cli(t, nil, "get", "--store", two.URL()+"?prefix=other:", sessions[1].ID); r.code != exitOK {
		t.Errorf("%+v", r)
	}
}

// TestMigrateForeign: sessions that cannot be read are listed, the rest is moved,
// and the exit code says so.
func TestMigrateForeign(t *testing.T) {
	server := redistest.Start(t, redistest.Options{Password: "hunter2"})
	in := time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano)
	for key, value := range map[string]string{
		"mcp:session:9b1deb4d-3b7d-4bad-9bdd-000000000001": fmt.Sprintf(`{"id":"9b1deb4d-3b7d-4bad-9bdd-000000000001","data":{"userId":"u","username":"n","roles":["r"],"createdAt":"2026-01-02T03:04:05.678Z","expiresAt":%q},"lastAccessedAt":"2026-01-02T03:04:06.000Z"}`, in),
		"mcp:session:9b1deb4d-3b7d-4bad-9bdd-000000000002": `{"data":{}}`,
		"sess:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa":            fmt.Sprintf(`{"cookie":{"expires":%q},"account":"ada"}`, in),
	} {
		if _, err := server.Do("SET", key, value); err != nil {
			t.Fatal(err)
		}
	}
	to := "file:" + filepath.Join(t.TempDir(), "data")
	none := []string{"--to", to, "--checkpoint", "none"}
	from := "puppeteer-mcp+" + server.URL() + "?prefix=mcp:"
	r := cli(t, nil, append([]string{"migrate", "run", "--from", from}, none...)...)
	if r.code != exitPartial || !strings.Contains(r.stdout, "9b1deb4d-3b7d-4bad-9bdd-000000000002: userId") || strings.Contains(r.stdout+r.stderr, "hunter2") {
		t.Errorf("%+v", r)
	}
	if r := cli(t, nil, "migrate", "plan", "--from", from, "--to", to); r.code != exitPartial || !strings.Contains(r.stdout, "in the target") {
		t.Errorf("%+v", r)
	}
	from = "connect-redis+" + server.URL() + "?user=account"
	if r := cli(t, nil, append([]string{"migrate", "run", "--from", from}, none...)...); r.code != exitOK {
		t.Errorf("%+v", r)
	}
	r = cli(t, nil, "list", "--store", to, "--user", "ada", "--json")
	if found := decode[session](t, r.stdout); len(found) != 1 || found[0].ID != strings.Repeat("a", 32) {
		t.Errorf("%+v", r)
	}
	r = cli(t, nil, "get", "--store", to, "--json", "9b1deb4d-3b7d-4bad-9bdd-000000000001")
	if found := decode[session](t, r.stdout); len(found) != 1 || found[0].CreatedAt.Format(time.RFC3339Nano) != "2026-01-02T03:04:05.678Z" || found[0].Roles[0] != "r" {
		t.Errorf("%+v", r)
	}
}

func TestMigrateUsage(t *testing.T) {
	here := "file:" + t.TempDir()
	for args, text := range map[string]string{
		"migrate":              "plan, run or verify",
		"migrate nope":         "nope",
		"migrate run":          "--from and --to",
		"migrate run --from a": "--from and --to",
		"migrate run --from redis://h --to redis://h":                                     "the same store",
		"migrate run --from mongodb://h --to redis://h":                                   "scheme mongodb:",
		"migrate run --from " + here + " --to puppeteer-mcp+redis://h":                    "there is no store",
		"migrate run --from redis://h --to redis://i --reverse":                           "--reverse goes with --live",
		"migrate plan --from redis://h --to redis://i --created-after soon":               `--created-after is "soon"`,
		"migrate verify --from redis://h --to redis://i now":                              "now",
		"migrate run --from connect-redis+redis://h?ttl=x --to redis://i --checkpoint no": "ttl",
	} {
		r := cli(t, nil, strings.Fields(args)...)
		code := exitUsage
		if strings.Contains(text, "no store") {
			code = exitError
		}
		if r.code != code || !strings.Contains(r.stderr, text) || r.stdout != "" {
			t.Errorf("perdure %s: %+v", args, r)
		}
	}
}

// process is a migrate run in a process of its own.
func process(t *testing.T, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	c := exec.Command(os.Args[0], append([]string{"migrate", "run"}, args...)...)
	c.Env = append(os.Environ(), asMain+"=1")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c, &stderr
}

// TestMigrateKilled kills a migration twenty times, at any moment, and resumes it
// each time: in the end the stores hold the same.
func TestMigrateKilled(t *testing.T) {
	one, two := redistest.Start(t, redistest.Options{}), redistest.Start(t, redistest.Options{})
	store, sessions := sessionsAt(t, one.URL(), 2000)
	args := []string{"--from", one.URL(), "--to", two.URL(), "--checkpoint", filepath.Join(t.TempDir(), "checkpoint"), "--batch-size", "5", "--rate", "400", "--resume"}
	for i := range 20 {
		c, stderr := process(t, args...)
		time.Sleep(time.Duration(30+rand.IntN(500)) * time.Millisecond) // a moment like any other
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := c.Wait(); signalled(err) != syscall.SIGKILL {
			t.Fatalf("%v: %s", err, stderr)
		}
		if _, err := store.Delete(t.Context(), sessions[i].ID); err != nil { // while it is dead
			t.Fatal(err)
		}
	}
	for i, arg := range args {
		if arg == "--rate" {
			args[i+1] = "0"
		}
	}
	if c, stderr := process(t, args...); c.Wait() != nil {
		t.Fatal(stderr)
	}
	if r := cli(t, nil, "migrate", "verify", "--from", one.URL(), "--to", two.URL()); r.code != exitOK {
		t.Errorf("%+v", r)
	}
}

// TestMigrateInterrupted: it stops clean and says how to go on, without what a file
// keeps; without --resume the checkpoint is in the way.
func TestMigrateInterrupted(t *testing.T) {
	one, two := redistest.Start(t, redistest.Options{}), redistest.Start(t, redistest.Options{})
	sessionsAt(t, one.URL(), 300)
	checkpoint, secret := filepath.Join(t.TempDir(), "check point"), filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(two.URL()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--from", one.URL(), "--to", "@" + secret, "--checkpoint", checkpoint, "--batch-size", "1", "--rate", "100"}
	c, stderr := process(t, args...)
	for {
		if _, err := os.Stat(checkpoint); err == nil {
			break // it has begun
		}
	}
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := c.Wait(); !errors.As(err, &exit) || exit.ExitCode() != exitInterrupted {
		t.Fatalf("%v: %s", err, stderr)
	}
	want := "perdure migrate run --batch-size 1 --checkpoint '" + checkpoint + "' --from " + one.URL() + " --rate 100 --to @" + secret + " --resume"
	if !strings.Contains(stderr.String(), want) {
		t.Errorf("%s\ndoes not say %s", stderr, want)
	}
	again := append([]string{"migrate", "run"}, args[:6]...)
	if r := cli(t, nil, again...); r.code != exitError || !strings.Contains(r.stderr, "resume it, or remove") || !strings.Contains(r.stderr, "--resume") {
		t.Errorf("%+v", r)
	}
	if r := cli(t, nil, append(again, "--resume")...); r.code != exitOK {
		t.Errorf("%+v", r)
	}
	if r := cli(t, nil, "migrate", "verify", "--from", one.URL(), "--to", two.URL()); r.code != exitOK {
		t.Errorf("%+v", r)
	}
}

// lines is a stderr that tells of each line.
type lines struct {
	bytes.Buffer
	seen chan string
}

func (l *lines) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		l.seen <- line
	}
	return l.Buffer.Write(b)
}

// TestMigrateLive keeps two stores in step, both ways, until it is interrupted.
func TestMigrateLive(t *testing.T) {
	one, two := redistest.Start(t, redistest.Options{}), redistest.Start(t, redistest.Options{})
	from, sessions := sessionsAt(t, one.URL(), 100)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var stdout bytes.Buffer
	stderr := &lines{seen: make(chan string, 1000)}
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, []string{"migrate", "run", "--from", one.URL(), "--to", two.URL(), "--checkpoint", "none", "--live", "--reverse", "--json"}, nil, strings.NewReader(""), stderr, stderr)
	}()
	for line := range stderr.seen {
		if strings.HasPrefix(line, "in step") {
			break
		}
	}
	to, _ := sessionsAt(t, two.URL(), 0)
	name := "there"
	if _, err := to.Update(t.Context(), sessions[0].ID, perdure.Patch{Username: &name}); err != nil {
		t.Fatal(err)
	}
	if _, err := from.Delete(t.Context(), sessions[1].ID); err != nil {
		t.Fatal(err)
	}
	interrupt()
	if code := <-done; code != exitOK || !strings.Contains(stderr.String(), "cut over: start the writers on the target") || !strings.Contains(stderr.String(), "pauseSeconds") {
		t.Errorf("exit code %d, %s%s", code, stdout.String(), stderr.String())
	}
	if s, err := from.Get(t.Context(), sessions[0].ID); err != nil || s.Username != name {
		t.Errorf("the way back: %+v, %v", s, err)
	}
	if ok, err := to.Exists(t.Context(), sessions[1].ID); ok || err != nil {
		t.Errorf("a logout before the cut-over is forgotten: %v", err)
	}
	if r := cli(t, nil, "migrate", "verify", "--from", one.URL(), "--to", two.URL()); r.code != exitOK {
		t.Errorf("%+v", r)
	}
}

func TestProgress(t *testing.T) {
	var out bytes.Buffer
	now := time.Unix(0, 0)
	p := &progress{out: &out, now: func() time.Time { return now }}
	s := status{phase: "backfill", done: 1200, expected: 4000, bytes: 2048, rate: 60_000, left: 90 * time.Second, errors: 2, waiting: errors.New("x\x1b")}
	p.show(status{})
	p.show(s)
	p.show(s) // too early
	now = now.Add(linesEvery)
	p.show(status{phase: "backfill", done: 4500, expected: 4000})
	p.show(status{phase: "in step", done: 1, errors: 1})
	p.end()
	want := "backfill: 1,200 of about 4,000 sessions (30%), 2.0 KiB, 60,000/s, about 1m30s left, 2 errors; waiting: x\ufffd\n" +
		"backfill: 4,500 of about 4,000 sessions (100%), 0/s, no errors\n" +
		"in step: 1 sessions, 0/s, 1 error\n"
	if out.String() != want {
		t.Errorf("lines:\n%s", &out)
	}
	out.Reset()
	p = &progress{out: &out, bars: true, now: time.Now}
	p.show(s)
	p.show(status{phase: "backfill", done: 5000, expected: 4000})
	p.show(status{phase: "in step", done: 7})
	p.end()
	for _, want := range []string{"backfill, 2.0 KiB, 2 errors", "(1200/4000", "in step"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the bar does not show %q: %q", want, out.String())
		}
	}
}
