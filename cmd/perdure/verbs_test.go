package main

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
	"github.com/perdure/perdure/internal/printable"
)

// TestSessionSurvivesARestart is the main job: serve, create, restart, and it is
// still there, for the daemon and for the verbs.
func TestSessionSurvivesARestart(t *testing.T) {
	env := []string{"PERDURE_DATA_DIR=" + t.TempDir()}
	d := startDaemon(t, env...)
	if d.up.Kind != "file" || !strings.Contains(d.up.Why, "REDIS_URL is not set") {
		t.Errorf("announced %+v", d.up)
	}
	made := d.create(`{"userId":"ada","username":"Ada","roles":["a","b"],"metadata":{"n":12,"s":"x y"}}`)
	if r := d.end(); r.code != exitOK {
		t.Errorf("serve ended with %+v", r)
	}
	d = startDaemon(t, env...)
	defer d.end()
	r := cli(t, nil, "get", "--json", "--store", d.url(), made.ID)
	if r.code != exitOK || r.stderr != "" {
		t.Fatalf("%+v", r)
	}
	if found := decode[session](t, r.stdout); len(found) != 1 || !reflect.DeepEqual(found[0], made) {
		t.Errorf("after a restart it is %+v, not %+v", found, made)
	}
}

// TestVerbs runs each verb on a daemon and on the store itself: the output is
// the same.
func TestVerbs(t *testing.T) {
	env := []string{"PERDURE_DATA_DIR=" + t.TempDir()}
	d := startDaemon(t, env...)
	var ids []string
	for i := range 5 {
		ids = append(ids, d.create(fmt.Sprintf(`{"userId":"user %d","metadata":{"i":%d}}`, i%2, i)).ID)
	}
	atDaemon := func(args ...string) result {
		return cli(t, nil, append([]string{args[0], "--store", d.url()}, args[1:]...)...)
	}
	atStore := func(args ...string) result { return cli(t, env, args...) }
	asked := checkReads(t, atDaemon, ids)
	if r := atDaemon("revoke", "--json", ids[0]); r.code != exitOK || r.stdout != "{\"revoked\":1}\n" {
		t.Errorf("revoke: %+v", r)
	}
	if r := atDaemon("revoke", ids[0]); r.code != exitNotFound || r.stdout != "" || !strings.Contains(r.stderr, ids[0]) {
		t.Errorf("revoke again: %+v", r)
	}
	d.create(`{"userId":"user 0"}`)
	if r := atDaemon("revoke", "--user", "user 0", "--except", ids[2], "--yes"); r.code != exitOK || r.stdout != "revoked: 2\n" {
		t.Errorf("revoke --user: %+v", r)
	}
	d.end()

	if r := atStore("get", "--json", ids[1]); r.code != exitOK || !strings.Contains(asked, r.stdout) {
		t.Errorf("the store says %+v, the daemon said %s", r, asked)
	}
	if r := atStore("list", "--user", "user 0", "--json"); len(decode[session](t, r.stdout)) != 1 {
		t.Errorf("list: %+v", r)
	}
	if r := atStore("stats", "--json"); r.code != exitOK || decode[perdure.Stats](t, r.stdout)[0].Sessions != 3 {
		t.Errorf("stats: %+v", r)
	}
	if r := atStore("stats"); r.code != exitOK || !strings.Contains(r.stdout, "sessions") {
		t.Errorf("stats: %+v", r)
	}
	if r := atStore("doctor"); r.code != exitOK || !strings.Contains(r.stdout, "REDIS_URL is not set") {
		t.Errorf("doctor: %+v", r)
	}
	if r := atStore("revoke", "--user", "user 1", "-y", "--json"); r.stdout != "{\"revoked\":2}\n" {
		t.Errorf("revoke --user: %+v", r)
	}
	if r := atStore("revoke", ids[2]); r.code != exitOK || r.stdout != "revoked: 1\n" {
		t.Errorf("revoke: %+v", r)
	}
	if r := atStore("list"); r.code != exitOK || r.stdout != "" {
		t.Errorf("list of nothing: %+v", r)
	}
}

// checkReads returns what get --json says of the second session.
func checkReads(t *testing.T, ask func(args ...string) result, ids []string) string {
	t.Helper()
	r := ask("list", "--json")
	if sessions := decode[session](t, r.stdout); r.code != exitOK || len(sessions) != len(ids) {
		t.Errorf("list --json: %+v", r)
	}
	r = ask("list", "--user", "user 1")
	if lines := strings.Split(strings.TrimSpace(r.stdout), "\n"); r.code != exitOK || len(lines) != 3 || !strings.HasPrefix(lines[0], "ID ") || !strings.Contains(r.stdout, ids[3]) {
		t.Errorf("list --user: %+v", r)
	}
	if r := ask("get", ids[1]); r.code != exitOK || !strings.Contains(r.stdout, "user         user 1\n") || !strings.Contains(r.stdout, `"i": 1`) {
		t.Errorf("get: %+v", r)
	}
	if r := ask("get", "00AAAAAAAAAAAAAAAAAAAAAA"); r.code != exitNotFound || r.stdout != "" {
		t.Errorf("get of nothing: %+v", r)
	}
	if r := ask("get", "x"); r.code != exitUsage {
		t.Errorf("get of what is no id: %+v", r)
	}
	return ask("get", "--json", ids[1]).stdout
}

// TestLockedStore: the error has the command that works.
func TestLockedStore(t *testing.T) {
	env := []string{"PERDURE_DATA_DIR=" + t.TempDir()}
	d := startDaemon(t, env...)
	id := d.create(`{"userId":"a b"}`).ID
	env = append(env, "PERDURE_LISTEN="+d.up.Listen)
	want := "perdure revoke --store " + d.url() + " --except " + id + " --user 'a b' --yes"
	r := cli(t, env, "revoke", "--user", "a b", "--yes", "--except", id)
	if r.code != exitError || r.stdout != "" || !strings.HasSuffix(r.stderr, want+"\n") {
		t.Errorf("%+v\nhas no %s", r, want)
	}
	if r := cli(t, env, "get", id); !strings.HasSuffix(r.stderr, "perdure get --store "+d.url()+" "+id+"\n") {
		t.Errorf("%+v", r)
	}
	if r := refused(t, append(env[:1:1], "REDIS_FALLBACK_ENABLED=false")...); r.code != exitError || !strings.Contains(r.stderr, "held by another process") ||
		!strings.Contains(r.stderr, "PERDURE_DATA_DIR says") || strings.Contains(r.stderr, "REDIS") {
		t.Errorf("a second serve: %+v", r)
	}
	if r := cli(t, nil, "stats", "--store", d.url()); r.code != exitError || !strings.Contains(r.stderr, "is not the admin port") {
		t.Errorf("stats at the port of sessions: %+v", r)
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	env := []string{"PERDURE_DATA_DIR=" + t.TempDir()}
	startDaemon(t, env...).end()
	if r := cliIn(ctx, env, "list"); r.code != exitInterrupted || r.stdout != "" {
		t.Errorf("%+v", r)
	}
	d := startDaemon(t, "PERDURE_DATA_DIR=none")
	if r := cliIn(ctx, nil, "list", "--store", d.url()); r.code != exitInterrupted {
		t.Errorf("%+v", r)
	}
}

func TestAsking(t *testing.T) {
	for answer, sure := range map[string]bool{"y\n": true, "YES\n": true, "n\n": false, "\n": false, "y": false, "": false} {
		a := &app{stdin: strings.NewReader(answer), stderr: &strings.Builder{}}
		if err := a.ask(&revocation{user: "ada"}); sure != (err == nil) {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

func TestOutputCannotDriveATerminal(t *testing.T) {
	if got := printable.Text("a\x1b[2J\u009b\u202eb\tü"); got != "a\ufffd[2J\ufffd\ufffdb\ufffdü" {
		t.Errorf("%q", got)
	}
}

// TestCompact: the file of a store that nobody holds, and of no other.
func TestCompact(t *testing.T) {
	dir := t.TempDir()
	d := startDaemon(t, "PERDURE_DATA_DIR="+dir)
	kept := d.create(`{"userId":"ada","metadata":{"pad":"` + strings.Repeat("x", 30_000) + `"}}`)
	if r := cli(t, []string{"PERDURE_DATA_DIR=" + dir, "PERDURE_ADMIN_LISTEN=" + d.up.Admin}, "compact"); r.code != exitUsage || !strings.Contains(r.stderr, "when it starts") {
		t.Errorf("through a daemon: %+v", r)
	}
	d.end()
	r := cli(t, nil, "compact", "--json", "--store", "file:"+dir)
	if done := decode[local.Compacted](t, r.stdout); r.code != exitOK || len(done) != 1 || done[0].After > done[0].Before || done[0].After < 30_000 {
		t.Errorf("%+v", r)
	}
	if r := cli(t, nil, "get", "--store", "file:"+dir, kept.ID); r.code != exitOK {
		t.Errorf("%+v", r)
	}
	if r := cli(t, nil, "compact", "--store", "memory:"); r.code == exitOK {
		t.Errorf("memory: %+v", r)
	}
}
