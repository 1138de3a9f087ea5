package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/factory"
)

// TestExitCodes: what is wrong, which code, and the words that help.
func TestExitCodes(t *testing.T) {
	memory := []string{"PERDURE_DATA_DIR=none", "PERDURE_ADMIN_LISTEN=none"}
	inFile, nothing := filepath.Join(t.TempDir(), "address"), filepath.Join(t.TempDir(), "empty")
	for name, content := range map[string]string{inFile: "file:/does/not/exist\r\nmore\n", nothing: "\n"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		env  []string
		args string
		code int
		text string
	}{
		{nil, "nope", exitUsage, `unknown command "nope"`},
		{nil, "list --nope", exitUsage, "--nope"},
		{nil, "get", exitUsage, "accepts 1 arg(s), received 0\nsee: perdure get --help"},
		{nil, "get a b", exitUsage, "accepts 1 arg"},
		{nil, "revoke", exitUsage, "--user"},
		{nil, "revoke x --user y", exitUsage, "give one"},
		{nil, "revoke x --except y", exitUsage, "--except goes with --user"},
		{nil, "revoke --user=", exitUsage, "--user is empty"},
		{nil, "list --user=", exitUsage, "--user is empty"},
		{nil, "list --store mongodb://h", exitUsage, "allowed: redis://"},
		{nil, "list --store http://h/path", exitUsage, "http://host:port"},
		{nil, "list --store file:/does/not/exist", exitError, "there is no store in /does/not/exist"},
		{nil, "list --store @" + inFile, exitError, "there is no store in /does/not/exist"},
		{nil, "list --store @" + inFile + ".none", exitUsage, "no such file"},
		{nil, "migrate plan --to @" + inFile + " --from @" + nothing, exitUsage, "is empty"},
		{nil, "list --store http://127.0.0.1:1", exitError, "the daemon at http://127.0.0.1:1"},
		{memory, "list", exitError, "in the memory of another process"},
		{memory, "list --store memory:", exitError, "ask the daemon: perdure list --store http://127.0.0.1:8420"},
		{[]string{"REDIS_TLS=maybe"}, "list", exitUsage, `REDIS_TLS is "maybe"; allowed: true or false`},
		{nil, "serve now", exitUsage, "now"},
		{nil, "version", exitOK, ""},
		{nil, "", exitOK, ""},
		{nil, "help environment", exitOK, ""},
		{nil, "completion bash", exitOK, ""},
	} {
		r := cli(t, c.env, strings.Fields(c.args)...)
		if r.code != c.code || !strings.Contains(r.stderr, c.text) {
			t.Errorf("perdure %s: exit code %d, %s", c.args, r.code, r.stderr)
		}
		if (r.code == exitOK) != (r.stdout != "") {
			t.Errorf("perdure %s: stdout %q", c.args, r.stdout)
		}
	}
}

// TestServeRefuses: a wrong setting stops the start with its name and what is
// allowed.
func TestServeRefuses(t *testing.T) {
	for setting, text := range map[string]string{
		"REDIS_TLS=maybe":           `REDIS_TLS is "maybe"; allowed: true or false`,
		"SESSION_STORE_TYPE=redis":  "REDIS_URL",
		"PERDURE_LISTEN=0.0.0.0:0":  "authenticat",
		"PERDURE_LISTEN=:0":         "127.0.0.1",
		"REDIS_URL=redis://h/dings": "REDIS_URL: ",
	} {
		r := refused(t, "PERDURE_DATA_DIR=none", setting)
		if r.code != exitUsage || !strings.Contains(r.stderr, text) {
			t.Errorf("%s: %+v", setting, r)
		}
	}
}

// TestRevokeUserNeedsYes: without a terminal nothing is asked and nothing done.
func TestRevokeUserNeedsYes(t *testing.T) {
	d := startDaemon(t, "PERDURE_DATA_DIR=none")
	id := d.create(`{"userId":"ada"}`).ID
	if r := cli(t, nil, "revoke", "--store", d.url(), "--user", "ada"); r.code != exitUsage || !strings.Contains(r.stderr, "--yes") {
		t.Errorf("%+v", r)
	}
	if r := cli(t, nil, "get", "--store", d.url(), id); r.code != exitOK {
		t.Errorf("%+v", r)
	}
}

// TestServeSaysWhatItDoes: the lines that a newcomer reads.
func TestAnnouncement(t *testing.T) {
	var stdout strings.Builder
	a := &app{stdout: &stdout}
	address := fakeAddr("127.0.0.1:8420")
	up := announcement{Kind: "redis", Store: "redis://h:1", Why: "because", Listen: address.String()}
	if err := a.announce(up, outlook(failover.Health{}, failover.OutageServe, false)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"http://127.0.0.1:8420", "redis://h:1", "because", "curl ", "CreateSession", "REDIS_FALLBACK_ENABLED"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("%q is not said in\n%s", want, &stdout)
		}
	}
}

type fakeAddr string

func (fakeAddr) Network() string  { return "tcp" }
func (a fakeAddr) String() string { return string(a) }

// TestServeWarns: what is set in vain is said at start.
func TestServeWarns(t *testing.T) {
	d := startDaemon(t, "PERDURE_DATA_DIR=none", "SESSION_STORE_REPLICATION_ENABLED=true")
	if r := d.end(); r.code != exitOK || !strings.Contains(r.stderr, "SESSION_STORE_REPLICATION_ENABLED=true has no effect") {
		t.Errorf("%+v", r)
	}
}

func TestHelp(t *testing.T) {
	text := cli(t, nil, "help", "environment").stdout
	for _, v := range factory.Variables() {
		if !strings.Contains(text, v.Name+" ") {
			t.Errorf("%s is not in the help", v.Name)
		}
	}
	root := (&app{}).root()
	all := root.Commands()
	for _, c := range root.Commands() {
		all = append(all, c.Commands()...)
	}
	for _, c := range all {
		if c.Short == "" || c.Runnable() && c.Name() != "version" && (c.Long == "" || c.Example == "") {
			t.Errorf("%s is not explained", c.Name())
		}
		for line := range strings.Lines(c.Long) {
			if len([]rune(line)) > 120 {
				t.Errorf("%s: a line of %d characters", c.Name(), len(line))
			}
		}
	}
	text = cli(t, nil, "--help").stdout
	for _, name := range []string{"serve", "get", "list", "revoke", "stats", "doctor", "backup", "migrate", "restore", "archive", "version", "completion", "exit-codes", "stores", "json"} {
		if !slices.Contains(strings.Fields(text), name) {
			t.Errorf("%s is not in the help", name)
		}
	}
}
