package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/perdure/perdure/archive"
	"github.com/perdure/perdure/internal/raced"
	"github.com/perdure/perdure/internal/redistest"
)

// cliWith runs a command line with something on stdin.
func cliWith(t *testing.T, stdin []byte, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), args, nil, bytes.NewReader(stdin), &stdout, &stderr)
	return result{code, stdout.String(), stderr.String()}
}

// stocked is a server with sessions, and what list says of them.
func stocked(t *testing.T) (server *redistest.Server, ids []string, listed []session) {
	t.Helper()
	server = redistest.Start(t, redistest.Options{})
	d := startDaemon(t, "REDIS_URL="+server.URL())
	for i := range 5 {
		ids = append(ids, d.create(fmt.Sprintf(`{"userId":"user %d","metadata":{"i":%d}}`, i, i)).ID)
	}
	d.end()
	return server, ids, decode[session](t, cli(t, nil, "list", "--json", "--store", server.URL()).stdout)
}

// TestBackupAndRestore is the main job: out of one store and into a new one of
// another kind, by a file and by a pipe, encrypted or not.
func TestBackupAndRestore(t *testing.T) {
	server, ids, listed := stocked(t)
	dir := t.TempDir()
	identity := filepath.Join(dir, "key.txt")
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(identity, []byte("# a key\n"+key.String()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ seal, open []string }{
		"plain": {},
		"key":   {[]string{"--recipient", key.Recipient().String()}, []string{"--identity", identity}},
		"jsonl": {[]string{"--format", "jsonl"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(dir, name)
			r := cli(t, nil, append([]string{"backup", "--store", server.URL(), "--out", file, "--json"}, c.seal...)...)
			made := decode[archive.Summary](t, r.stdout)
			if r.code != exitOK || !strings.Contains(r.stderr, "scan: 5 of about 5 records") || made[0].Footer.Sessions != 5 || made[0].Header.Source != "redis://"+server.Addr() {
				t.Fatalf("%+v", r)
			}
			if r := cli(t, nil, append([]string{"backup", "--store", server.URL(), "--out", file}, c.seal...)...); r.code != exitUsage || !strings.Contains(r.stderr, "--replace") {
				t.Errorf("over a file: %+v", r)
			}
			if r := cli(t, nil, append([]string{"backup", "--replace", "--store", server.URL(), "--out", file}, c.seal...)...); r.code != exitOK || !strings.Contains(r.stdout, "sessions    5\n") {
				t.Errorf("--replace: %+v", r)
			}
			for _, verb := range []string{"inspect", "verify"} {
				if r := cli(t, nil, append([]string{"archive", verb, file}, c.open...)...); r.code != exitOK || !strings.Contains(r.stdout, "sessions    5\n") {
					t.Errorf("archive %s: %+v", verb, r)
				}
			}
			store := "file:" + filepath.Join(dir, name+".store")
			if r := cli(t, nil, append([]string{"restore", "--store", store, "--in", file}, c.open...)...); r.code != exitOK || !strings.Contains(r.stdout, "restored    5\n") {
				t.Fatalf("restore: %+v", r)
			}
			r = cli(t, nil, "list", "--json", "--store", store)
			if got := decode[session](t, r.stdout); len(got) != 5 || !reflect.DeepEqual(byID(got), byID(listed)) {
				t.Errorf("after it: %+v", r)
			}
			if r := cli(t, nil, "revoke", "--store", store, ids[0]); r.code != exitOK {
				t.Fatal(r)
			}
			piped := cli(t, nil, append([]string{"backup", "--store", server.URL(), "--out", "-"}, c.seal...)...)
			if piped.code != exitOK || !strings.Contains(piped.stderr, "sessions    5\n") {
				t.Errorf("backup --out -: %d, %s", piped.code, piped.stderr)
			}
			if told := cli(t, nil, append([]string{"backup", "--store", server.URL(), "--out", "-", "--json"}, c.seal...)...); len(decode[archive.Summary](t, told.stderr)) != 1 {
				t.Errorf("backup --out - --json tells %s", told.stderr)
			}
			r = cliWith(t, []byte(piped.stdout), append([]string{"restore", "--store", store, "--in", "-", "--json"}, c.open...)...)
			for _, line := range []string{"verify: 5", "sessions: 5 of about 5 records (100%)"} {
				if !strings.Contains(r.stderr, line) {
					t.Errorf("restore does not tell %q: %s", line, r.stderr)
				}
			}
			if done := decode[map[string]any](t, r.stdout); r.code != exitOK || done[0]["unchanged"] != 4.0 || done[0]["leftDead"] != 1.0 {
				t.Errorf("restore --in -: %+v", r)
			}
		})
	}
}

// TestPassphrase: it takes its time, so once is enough.
func TestPassphrase(t *testing.T) {
	raced.Skip(t)
	server, _, _ := stocked(t)
	dir := t.TempDir()
	phrase, file, store := filepath.Join(dir, "phrase.txt"), filepath.Join(dir, "sessions"), "file:"+filepath.Join(dir, "store")
	if err := os.WriteFile(phrase, []byte("correct horse\r\nsecond line\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := cli(t, nil, "backup", "--store", server.URL(), "--out", file, "--passphrase-file", phrase); r.code != exitOK {
		t.Fatalf("%+v", r)
	}
	if r := cli(t, nil, "archive", "inspect", file); r.code != exitOK || !strings.Contains(r.stdout, "scrypt") {
		t.Errorf("inspect: %+v", r)
	}
	if r := cli(t, nil, "restore", "--store", store, "--in", file, "--passphrase-file", phrase); r.code != exitOK || !strings.Contains(r.stdout, "restored    5\n") {
		t.Errorf("restore: %+v", r)
	}
}

func byID(sessions []session) map[string]string {
	all := map[string]string{}
	for _, s := range sessions {
		text, _ := json.Marshal(s)
		all[s.ID] = string(text)
	}
	return all
}

// TestDamagedArchive: exit code 7, nothing written, not even an empty store; and
// with --salvage what is whole, with exit code 3.
func TestDamagedArchive(t *testing.T) {
	server, _, _ := stocked(t)
	dir := t.TempDir()
	file, store := filepath.Join(dir, "sessions"), filepath.Join(dir, "store")
	if r := cli(t, nil, "backup", "--store", server.URL(), "--out", file); r.code != exitOK {
		t.Fatal(r)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, whole[:len(whole)-10], 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{"archive verify " + file, "archive inspect " + file, "restore --store file:" + store + " --in " + file} {
		if r := cli(t, nil, strings.Fields(args)...); r.code != exitUnverified || !strings.Contains(r.stderr, file) || !strings.Contains(r.stderr, "cut short") {
			t.Errorf("%s: %+v", args, r)
		}
	}
	if _, err := os.Stat(store); !os.IsNotExist(err) {
		t.Errorf("a store was made: %v", err)
	}
	r := cli(t, nil, "restore", "--salvage", "--store", "file:"+store, "--in", file)
	if r.code != exitPartial || !strings.Contains(r.stdout, "restored    5\n") || !strings.Contains(r.stdout, "the end of the file") {
		t.Errorf("--salvage: %+v", r)
	}
	if r := cli(t, nil, "archive", "verify", "--salvage", "--json", file); len(decode[archive.Report](t, r.stdout)) != 1 || !strings.Contains(r.stdout, `"truncated":true`) {
		t.Errorf("verify --salvage: %+v", r)
	}
}

// TestRestoreFromPuppeteer: the file of the forerunner, with one session that
// cannot be read.
func TestRestoreFromPuppeteer(t *testing.T) {
	dir := t.TempDir()
	file, store := filepath.Join(dir, "session-backup.json"), "file:"+filepath.Join(dir, "store")
	const sessions = `{"instanceId":"my-app","storeType":"redis","sessionCount":2,"createdAt":"2026-01-02T05:00:00.000Z","data":[
		{"id":"6ba7b810-9dad-41d1-80b4-00c04fd430c8","data":{"userId":"ada","username":"Ada","roles":["user"],"createdAt":"2026-01-02T03:04:05.678Z","expiresAt":"2099-01-02T03:04:05.678Z"},"lastAccessedAt":"2026-01-02T04:00:00.001Z"},
		{"id":"6ba7b810-9dad-41d1-80b4-00c04fd430c9","data":{"username":"nobody","roles":[],"createdAt":"2026-01-02T03:04:05.678Z","expiresAt":"2099-01-02T03:04:05.678Z"}}]}`
	if err := os.WriteFile(file, []byte(sessions), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := cli(t, nil, "restore", "--store", store, "--in", file, "--dry-run"); r.code != exitPartial || !strings.Contains(r.stdout, "restored      1\n") {
		t.Errorf("a dry run into nothing: %+v", r)
	}
	r := cli(t, nil, "restore", "--store", store, "--in", file)
	if r.code != exitPartial || !strings.Contains(r.stdout, "restored      1\n") || !strings.Contains(r.stdout, "430c9") || !strings.Contains(r.stdout, "userId") {
		t.Errorf("%+v", r)
	}
	if r := cli(t, nil, "get", "--json", "--store", store, "6ba7b810-9dad-41d1-80b4-00c04fd430c8"); r.code != exitOK || !strings.Contains(r.stdout, `"expiresAt":"2099-01-02T03:04:05.678Z"`) {
		t.Errorf("%+v", r)
	}
	if r := cli(t, nil, "restore", "--dry-run", "--store", store, "--in", file); r.code != exitPartial || !strings.Contains(r.stdout, "unchanged     1\n") {
		t.Errorf("a dry run: %+v", r)
	}
	if r := cli(t, nil, "archive", "verify", file); r.code != exitPartial || !strings.Contains(r.stdout, "puppeteer-mcp") {
		t.Errorf("verify: %+v", r)
	}
}

// TestArchiveUsage: what is wrong, which code, and the words that help.
func TestArchiveUsage(t *testing.T) {
	dir := t.TempDir()
	key, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	file, empty, secret := filepath.Join(dir, "locked"), filepath.Join(dir, "empty"), filepath.Join(dir, "secret")
	data := "PERDURE_DATA_DIR=" + filepath.Join(dir, "data")
	startDaemon(t, data).end()
	if r := cli(t, []string{data}, "backup", "--out", file, "--recipient", key.Recipient().String()); r.code != exitOK {
		t.Fatal(r)
	}
	for name, text := range map[string]string{empty: "", secret: "hunter2 is no key"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args string
		code int
		text string
	}{
		{"backup", exitUsage, "--out is missing"},
		{"backup --out x --format zip", exitUsage, "archive or jsonl"},
		{"backup --out x --recipient nobody", exitUsage, "age1"},
		{"backup --out x --recipient " + key.Recipient().String() + " --passphrase-file " + secret, exitUsage, "give one"},
		{"backup --out x --passphrase-file " + empty, exitUsage, "empty"},
		{"backup --out x --passphrase-file /none", exitUsage, "/none"},
		{"backup --out " + dir + "/none/x", exitError, "none/x"},
		{"backup --out x --store http://127.0.0.1:1", exitError, "the daemon at http://127.0.0.1:1"},
		{"restore", exitUsage, "no file is named"},
		{"restore --in " + dir + "/none", exitError, "none"},
		{"restore --in " + empty, exitUnverified, "it is empty"},
		{"restore --in " + file, exitDenied, "--identity"},
		{"restore --in " + file + " --identity " + secret, exitUsage, "no age secret keys"},
		{"archive verify " + file, exitDenied, "--passphrase-file"},
		{"archive verify", exitUsage, "accepts 1 arg"},
		{"archive inspect " + file, exitOK, ""},
	} {
		r := cli(t, []string{data}, strings.Fields(c.args)...)
		if r.code != c.code || !strings.Contains(r.stderr, c.text) || strings.Contains(r.stderr, "hunter2") {
			t.Errorf("perdure %s: exit code %d, %s", c.args, r.code, r.stderr)
		}
	}
	if _, err := os.Stat("x"); !os.IsNotExist(err) {
		t.Errorf("a file was made: %v", err)
	}
	d := startDaemon(t, data)
	if r := cli(t, []string{data}, "backup", "--out", filepath.Join(dir, "y")); r.code != exitError || !strings.Contains(r.stderr, "go through its admin port") {
		t.Errorf("beside a daemon: %+v", r)
	}
	d.end()
}

// TestBackupInterrupted leaves no file.
func TestBackupInterrupted(t *testing.T) {
	server, _, _ := stocked(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r := cliIn(ctx, nil, "backup", "--store", server.URL(), "--out", filepath.Join(dir, "x")); r.code != exitInterrupted {
		t.Errorf("%+v", r)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) > 0 {
		t.Errorf("%v, %v", entries, err)
	}
}

// TestADryRunIntoANewStore counts what a restore would do, and makes no store.
func TestADryRunIntoANewStore(t *testing.T) {
	server, ids, _ := stocked(t)
	dir := filepath.Join(t.TempDir(), "new")
	file := filepath.Join(t.TempDir(), "sessions")
	if r := cli(t, nil, "backup", "--store", server.URL()+"\n", "--out", file); r.code != exitOK { // as an address from a file often is
		t.Fatal(r)
	}
	for range 2 {
		r := cli(t, nil, "restore", "--dry-run", "--json", "--store", "file:"+dir+"\n", "--in", file)
		if r.code != exitOK || !strings.Contains(r.stdout, fmt.Sprintf(`"restored":%d`, len(ids))) {
			t.Errorf("%+v", r)
		}
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("it has made the store: %v", err)
	}
}
