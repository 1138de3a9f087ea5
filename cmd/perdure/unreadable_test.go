package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/perdure/perdure/archive"
	"github.com/perdure/perdure/internal/redistest"
)

// TestOneByteIsAPartialSuccess: what can be read is saved and listed, what cannot
// is named, and the exit code says that it was not all.
func TestOneByteIsAPartialSuccess(t *testing.T) {
	server, ids, _ := stocked(t)
	lost := ids[2]
	key, _ := server.Spoil(t, lost, redistest.SpoilFormat)
	file := filepath.Join(t.TempDir(), "sessions.perdure")
	r := cli(t, nil, "backup", "--store", server.URL(), "--out", file)
	if r.code != exitPartial || !strings.Contains(r.stdout, "sessions    4\n") || !strings.Contains(r.stdout, "not saved   "+lost+"\n") || !strings.Contains(r.stderr, "1 stored record") {
		t.Errorf("backup: %+v", r)
	}
	r = cli(t, nil, "backup", "--store", server.URL(), "--out", file, "--replace", "--json")
	if made := decode[archive.Summary](t, r.stdout); r.code != exitPartial || made[0].Footer.Unreadable != 1 || len(made[0].Unreadable) != 1 {
		t.Errorf("backup --json: %+v", r)
	}
	if r = cli(t, nil, "archive", "verify", file); r.code != exitOK || !strings.Contains(r.stdout, "unreadable  1\n") {
		t.Errorf("verify: %+v", r)
	}
	store := "file:" + filepath.Join(t.TempDir(), "store")
	if r = cli(t, nil, "restore", "--store", store, "--in", file); r.code != exitOK || !strings.Contains(r.stdout, "restored    4\n") {
		t.Errorf("restore: %+v", r)
	}
	d := startDaemon(t, "REDIS_URL="+server.URL())
	for _, address := range []string{server.URL(), d.url()} {
		r = cli(t, nil, "list", "--json", "--store", address)
		if found := decode[session](t, r.stdout); r.code != exitPartial || len(found) != 4 || !strings.Contains(r.stderr, "cannot be read: "+lost+"\n") {
			t.Errorf("list of %s: %+v", address, r)
		}
	}
	server.Spoil(t, ids[3], -1) // in a value of the metadata, which is not JSON then
	r = cli(t, nil, "list", "--json", "--store", server.URL())
	if found := decode[session](t, r.stdout); r.code != exitPartial || len(found) != 3 || !strings.Contains(r.stderr, ids[3]) {
		t.Errorf("list of damaged metadata: %+v", r)
	}
	r = cli(t, nil, "backup", "--store", server.URL(), "--out", "-", "--format", "jsonl")
	if r.code != exitPartial || strings.Contains(r.stdout, ids[3]) || !strings.Contains(r.stderr, "not saved   "+ids[3]) {
		t.Errorf("backup of damaged metadata: %+v", r)
	}
	for _, args := range [][]string{{"get", "--store", server.URL(), lost}, {"revoke", "--store", server.URL(), lost}, {"get", "--store", "http://" + d.up.Admin, lost}} {
		r = cli(t, nil, args...)
		if r.code != exitError || !strings.Contains(r.stderr, "damaged, or of a later release") || strings.Contains(r.stderr, "redis-cli DEL '"+key+"'") != (args[2] == server.URL()) {
			t.Errorf("%v: %+v", args, r)
		}
	}
	r = cli(t, nil, "revoke", "--user", "user 2", "--yes", "--store", server.URL())
	if r.code == exitOK || !strings.Contains(r.stderr, lost) {
		t.Errorf("revoke: %+v", r)
	}
	if _, err := server.Do("DEL", key); err != nil { // as it says
		t.Fatal(err)
	}
	if r = cli(t, nil, "get", "--store", server.URL(), lost); r.code != exitNotFound {
		t.Errorf("when its key is deleted: %+v", r)
	}
}
