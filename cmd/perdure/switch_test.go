package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/perdure/perdure/internal/redistest"
)

// TestSwitchADaemon: a running daemon moves to Redis; the session and the daemon's
// address stay.
func TestSwitchADaemon(t *testing.T) {
	redis := redistest.Start(t, redistest.Options{Password: "hunter2"})
	d := startDaemon(t, "PERDURE_DATA_DIR=none")
	made := d.create(`{"userId":"ada","metadata":{"n":1}}`)
	admin := "http://" + d.up.Admin
	if r := cli(t, nil, "switch", "--admin", admin, "--to", "nonsense"); r.code != exitUsage || !strings.Contains(r.stderr, "no scheme") {
		t.Errorf("to what is no address: %+v", r)
	}
	r := cli(t, nil, "switch", "--json", "--admin", admin, "--to", redis.URL())
	if r.code != exitOK || !strings.Contains(r.stdout, `"migrated":1`) || strings.Contains(r.stdout+r.stderr, "hunter2") {
		t.Fatalf("%+v", r)
	}
	for _, store := range []string{d.url(), redis.URL()} {
		r := cli(t, nil, "get", "--json", "--store", store, made.ID)
		if found := decode[session](t, r.stdout); len(found) != 1 || found[0].Version != made.Version {
			t.Errorf("on %s: %+v", store, r)
		}
	}
	response, err := http.Get(admin + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("health: %s", response.Status)
	}
	for _, c := range []struct {
		args []string
		code int
		text string
	}{
		{[]string{"--to", redis.URL()}, exitUsage, "already"},
		{[]string{"--to", "ftp://x"}, exitUsage, "scheme"},
		{[]string{"--to", "redis://127.0.0.1:1"}, exitError, "nothing was switched: redis://127.0.0.1:1 cannot take sessions: session store is unavailable: redis://127.0.0.1:1: the connection"},
		{nil, exitUsage, "--to"},
	} {
		r := cli(t, nil, append([]string{"switch", "--admin", admin}, c.args...)...)
		if r.code != c.code || !strings.Contains(r.stderr, c.text) {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
	if r := cli(t, nil, "switch", "--admin", "http://127.0.0.1:1", "--to", "memory:"); r.code != exitError || !strings.Contains(r.stderr, "admin port") {
		t.Errorf("no daemon: %+v", r)
	}
	for name, change := range map[string]func(*http.Request){
		"a web page": func(r *http.Request) { r.Header.Set("Origin", "http://localhost") },
		"a form":     func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") },
	} {
		request, err := http.NewRequest(http.MethodPost, admin+"/switch", strings.NewReader(`{"to":"memory:"}`))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/json")
		change(request)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode/100 != 4 {
			t.Errorf("%s: %s", name, response.Status)
		}
	}
}

// TestAdminPort: a wrong one stops the start, and so does one that is taken.
func TestAdminPort(t *testing.T) {
	d := startDaemon(t, "PERDURE_DATA_DIR=none")
	if r := refused(t, "PERDURE_DATA_DIR=none", "PERDURE_ADMIN_LISTEN="+d.up.Admin); r.code != exitError || !strings.Contains(r.stderr, "set PERDURE_ADMIN_LISTEN to another port") {
		t.Errorf("%+v", r)
	}
	if none := startDaemon(t, "PERDURE_DATA_DIR=none", "PERDURE_ADMIN_LISTEN=none"); none.up.Admin != "" {
		t.Errorf("%+v", none.up)
	}
}
