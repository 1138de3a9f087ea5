package main

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/internal/redistest"
)

// TestWhatSaysMoreInAnOutage: what fails since Redis is away says who can answer, and
// how it is asked; and what a daemon answers then is labelled as its own.
func TestWhatSaysMoreInAnOutage(t *testing.T) {
	d := startDaemon(t, "REDIS_URL=redis://127.0.0.1:1")
	made := d.create(`{"userId":"ada"}`)
	env := []string{"REDIS_URL=redis://127.0.0.1:1", "PERDURE_LISTEN=" + d.up.Listen, "PERDURE_ADMIN_LISTEN=" + d.up.Admin}
	admin := "http://" + d.up.Admin
	for _, c := range []struct {
		env  []string
		args []string
		code int
		says []string
	}{
		{env, []string{"doctor"}, exitError, []string{"perdure doctor --store " + admin}},
		{env, []string{"stats", "--json"}, exitError, []string{"perdure stats --store " + admin + " --json"}},
		{env, []string{"revoke", made.ID}, exitError, []string{"perdure revoke --store " + d.url() + " " + made.ID}},
		{nil, []string{"list", "--store", d.url()}, exitError, []string{"--allow-incomplete"}},
		{nil, []string{"list", "--store", admin}, exitError, []string{"--allow-incomplete"}},
		{nil, []string{"stats", "--store", admin}, exitOK, []string{"not Redis"}},
		{nil, []string{"doctor", "--store", admin}, exitOK, []string{"journal: durability", "journal: memory", "repair Redis"}},
	} {
		r := cli(t, c.env, c.args...)
		for _, want := range c.says {
			if r.code != c.code || !strings.Contains(r.stdout+r.stderr, want) {
				t.Errorf("perdure %v: %+v; it does not say %q", c.args, r, want)
			}
		}
	}
}

// TestAReplicaIsNoMaster: the hint that a refused connection gets comes with a refused
// write, too.
func TestAReplicaIsNoMaster(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	if _, err := server.Do("REPLICAOF", "127.0.0.1", "1"); err != nil {
		t.Fatal(err)
	}
	env := []string{"REDIS_URL=" + server.URL(), "PERDURE_LISTEN=127.0.0.1:8499"}
	r := cli(t, env, "revoke", "--user", "ada", "--yes")
	if r.code != exitError || !strings.Contains(r.stderr, "READONLY") || !strings.Contains(r.stderr, "perdure revoke --store http://127.0.0.1:8499 ") {
		t.Errorf("%+v", r)
	}
}

// TestNoPolicyIsPromisedMore: what a start without Redis says goes by PERDURE_OUTAGE,
// and by what is held back.
func TestNoPolicyIsPromisedMore(t *testing.T) {
	away := failover.Health{State: failover.Degraded, Reason: "the cable", JournalDurable: true}
	held := away
	held.HeldBack = 7
	full := failover.Health{State: failover.Healthy, JournalError: "no room", Redis: failover.FrontHealth{Available: true}}
	for _, c := range []struct {
		health failover.Health
		policy failover.Outage
		want   string
		not    string
	}{
		{away, failover.OutageServe, "sessions are served from here", ""},
		{away, failover.OutageRefuse, "Redis is away (the cable): calls answer unavailable", "served"},
		{away, failover.OutageReadOnly, "writes answer unavailable", "merged"},
		{held, failover.OutageServe, "PERDURE_OUTAGE_MAX_DOWNTIME", ""},
		{full, failover.OutageServe, "no room", "merged"},
	} {
		if text := outlook(c.health, c.policy, true); !strings.Contains(text, c.want) || c.not != "" && strings.Contains(text, c.not) {
			t.Errorf("%s in %+v: %q", c.policy, c.health, text)
		}
	}
	for _, policy := range []string{"refuse", "read-only"} {
		d := startDaemon(t, "REDIS_URL=redis://127.0.0.1:1", "PERDURE_OUTAGE="+policy)
		r := cli(t, nil, "doctor", "--store", "http://"+d.up.Admin)
		if r.code != exitError || strings.Contains(r.stdout, "merged") || !strings.Contains(r.stdout, "policy") {
			t.Errorf("doctor, %s: %+v", policy, r)
		}
		if r := d.end(); strings.Contains(r.stderr, "merged") || strings.Contains(r.stderr, "sessions are served meanwhile") {
			t.Errorf("the log, %s: %s", policy, r.stderr)
		}
	}
}

// TestTheOutageIsTold: how long it was, and how much was merged.
func TestTheOutageIsTold(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	d := startDaemon(t, "REDIS_URL="+server.URL(), "REDIS_RETRY_DELAY=20")
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	d.create(`{"userId":"ada"}`)
	d.create(`{"userId":"ada"}`)
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); !strings.Contains(d.page("/healthz"), `"state":"healthy"`); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(d.page("/healthz"))
		}
	}
	// One that is merged on behalf of a caller, and by the recovery too, counts twice.
	if text := d.page("/healthz"); !regexp.MustCompile(`is merged: [2-9] records`).MatchString(text) {
		t.Errorf("health: %s", text)
	}
	if r := d.end(); !strings.Contains(r.stderr, `"lasted":"`) || !regexp.MustCompile(`"merged":[2-9]`).MatchString(r.stderr) {
		t.Errorf("%s", r.stderr)
	}
}

// page is what the daemon shows under a path.
func (d *daemonProcess) page(path string) string {
	d.t.Helper()
	response, err := http.Get(d.url() + path)
	if err != nil {
		d.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return string(bytes.ToValidUTF8(body, nil))
}
