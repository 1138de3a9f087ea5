package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
)

// TestThroughTheDaemon: an embedded store is looked after while its daemon runs, by
// every verb and as if it were not held: in a file and in memory.
func TestThroughTheDaemon(t *testing.T) {
	redis := redistest.Start(t, redistest.Options{})
	for name, dir := range map[string]string{"a file": t.TempDir(), "memory": "none"} {
		t.Run(name, func(t *testing.T) {
			env := []string{"PERDURE_DATA_DIR=" + dir}
			d := startDaemon(t, env...)
			env = append(env, "PERDURE_ADMIN_LISTEN="+d.up.Admin)
			kept, ended := d.create(`{"userId":"ada","metadata":{"n":1}}`), d.create(`{"userId":"ada"}`)
			expect := func(text string, args ...string) {
				t.Helper()
				if r := cli(t, env, args...); r.code != exitOK || !strings.Contains(r.stdout, text) {
					t.Errorf("perdure %v: %+v; it does not say %s", args, r, text)
				}
			}
			file := filepath.Join(t.TempDir(), "sessions")
			expect(kept.Version, "get", "--json", kept.ID)
			expect(ended.ID, "list", "--user", "ada")
			expect("revoked: 1", "revoke", ended.ID)
			expect(`"sessions":1`, "stats", "--json")
			expect(d.up.Store, "doctor")
			expect("tombstones  1", "backup", "--out", file)
			expect("revoked: 1", "revoke", "--user", "ada", "--yes")
			expect(`"leftDead":1`, "restore", "--json", "--in", file)
			late := d.create(`{"userId":"grace"}`)
			target := redis.URL() + "?prefix=" + strings.ReplaceAll(name, " ", "-") + ":"
			expect(`"migrated":1`, "migrate", "run", "--json", "--from", d.up.Store, "--to", target, "--checkpoint", file+".checkpoint")
			expect(late.ID, "list", "--store", target)
			if r := cli(t, env, "migrate", "run", "--from", d.up.Store, "--to", "http://"+d.up.Admin, "--delete-migrated", "--checkpoint", file+".checkpoint"); r.code != exitUsage || !strings.Contains(r.stderr, "under another name") {
				t.Errorf("a store into itself: %+v", r)
			}
			os.Remove(file + ".checkpoint")
			expect(late.ID, "list")
			expect("", "migrate", "verify", "--from", target, "--to", "http://"+d.up.Admin)
			if r := cli(t, nil, "get", "--store", d.url(), ended.ID); r.code != exitNotFound {
				t.Errorf("the daemon still has what was revoked: %+v", r)
			}
		})
	}
}

// TestNotItsDaemon: what another store's daemon answers is no answer.
func TestNotItsDaemon(t *testing.T) {
	holder := startDaemon(t, "PERDURE_DATA_DIR="+t.TempDir())
	other := startDaemon(t)
	other.create(`{"userId":"ada"}`)
	moved := holder.create(`{"userId":"grace"}`)
	for name, env := range map[string][]string{
		"a file": {"PERDURE_DATA_DIR=" + strings.TrimPrefix(holder.up.Store, "file:"), "PERDURE_ADMIN_LISTEN=" + other.up.Admin},
		"memory": {"PERDURE_DATA_DIR=none", "PERDURE_ADMIN_LISTEN=" + other.up.Admin},
		"none":   {"PERDURE_DATA_DIR=none", "PERDURE_ADMIN_LISTEN=none"},
	} {
		for _, verb := range []string{"list", "stats"} {
			if r := cli(t, env, verb); r.code != exitError || r.stdout != "" || !strings.Contains(r.stderr, perdure.ErrUnavailable.Error()) || strings.Contains(r.stderr, "ask the daemon") && name != "none" {
				t.Errorf("%s of %s: %+v", verb, name, r)
			}
		}
	}
	if r := cli(t, nil, "switch", "--admin", "http://"+holder.up.Admin, "--to", "memory:"); r.code != exitOK {
		t.Fatal(r)
	}
	left := []string{"PERDURE_DATA_DIR=" + strings.TrimPrefix(holder.up.Store, "file:"), "PERDURE_ADMIN_LISTEN=" + holder.up.Admin}
	for _, args := range [][]string{{"list"}, {"revoke", moved.ID}, {"stats"}} { // would be of the file that the daemon has left
		r := cli(t, left, args...)
		if r.code != exitError || r.stdout != "" || !strings.Contains(r.stderr, "switched to memory:") || !strings.Contains(r.stderr, "--store http://"+holder.up.Admin) {
			t.Errorf("%v of what the daemon has left: %+v", args, r)
		}
	}
	if r := cli(t, left, "revoke", "--store", "http://"+holder.up.Admin, moved.ID); r.code != exitOK {
		t.Errorf("what it says to do: %+v", r)
	}
	if r := cli(t, left, "list", "--store", holder.up.Store); r.code != exitOK || !strings.Contains(r.stdout, moved.ID) {
		t.Errorf("who names the file: %+v", r)
	}
	stopped := startDaemon(t, "PERDURE_DATA_DIR="+t.TempDir())
	stopped.end()
	unrelated := []string{"PERDURE_DATA_DIR=" + strings.TrimPrefix(stopped.up.Store, "file:"), "PERDURE_ADMIN_LISTEN=" + other.up.Admin}
	if r := cli(t, unrelated, "list"); r.code != exitOK || r.stderr != "no sessions\n" {
		t.Errorf("beside the daemon of another store: %+v", r)
	}
	out := filepath.Join(t.TempDir(), "x")
	if r := cli(t, nil, "backup", "--out", out, "--store", holder.url()); r.code != exitError || !strings.Contains(r.stderr, "is not the admin port") {
		t.Errorf("at the port of sessions: %+v", r)
	}
	if _, err := os.Stat(out); !os.IsNotExist(err) {
		t.Errorf("a file was made: %v", err)
	}
	if r := cli(t, nil, "list", "--store", "http://"+holder.up.Admin); r.code != exitOK {
		t.Errorf("sessions at the admin port: %+v", r)
	}
	if r := cli(t, nil, "switch", "--admin", "http://"+holder.up.Admin, "--to", "http://"+other.up.Admin); r.code != exitUsage || !strings.Contains(r.stderr, "has its own store") {
		t.Errorf("a switch to a daemon: %+v", r)
	}
}

// TestAListThatIsNotWhole: in an outage a daemon that does not hold all lists nothing,
// or what it holds for who asks for that.
func TestAListThatIsNotWhole(t *testing.T) {
	d := startDaemon(t, "REDIS_URL=redis://127.0.0.1:1", "PERDURE_DATA_DIR="+t.TempDir())
	made := d.create(`{"userId":"ada"}`)
	if r := cli(t, nil, "list", "--store", d.url()); r.code == exitOK || r.stdout != "" {
		t.Errorf("by who has not asked for less: %+v", r)
	}
	for _, args := range [][]string{{}, {"--user", "ada"}} {
		r := cli(t, nil, append([]string{"list", "--allow-incomplete", "--store", d.url()}, args...)...)
		if r.code != exitPartial || !strings.Contains(r.stdout, made.ID) || !strings.Contains(r.stderr, "not complete") {
			t.Errorf("list %v: %+v", args, r)
		}
	}
}
