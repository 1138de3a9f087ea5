package main

import (
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
)

// TestOnRedis: the same verbs on Redis, where they need no daemon.
func TestOnRedis(t *testing.T) {
	server := redistest.Start(t, redistest.Options{Password: "hunter2"})
	env := []string{"REDIS_URL=" + server.URL()}
	d := startDaemon(t, env...)
	if d.up.Kind != "redis" || d.up.Store != "redis://"+server.Addr() {
		t.Errorf("announced %+v", d.up)
	}
	made := d.create(`{"userId":"ada","metadata":{"n":1}}`)
	r := cli(t, env, "get", "--json", made.ID)
	if found := decode[session](t, r.stdout); r.code != exitOK || !reflect.DeepEqual(found, []session{made}) {
		t.Errorf("get: %+v", r)
	}
	if r := cli(t, nil, "list", "--store", server.URL()); r.code != exitOK || !strings.Contains(r.stdout, made.ID) {
		t.Errorf("list: %+v", r)
	}
	if r := cli(t, nil, "list", "--store", server.URL()+"?prefix=other:"); r.code != exitOK || r.stdout != "" {
		t.Errorf("list of another prefix: %+v", r)
	}
	if r := cli(t, env, "stats", "--json"); r.code != exitOK || strings.Contains(r.stdout, "hunter2") {
		t.Errorf("stats: %+v", r)
	}
	if r := cli(t, env, "revoke", made.ID); r.code != exitOK {
		t.Errorf("revoke: %+v", r)
	}
	if r := cli(t, nil, "get", "--store", d.url(), made.ID); r.code != exitNotFound {
		t.Errorf("get from the daemon: %+v", r)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"get", made.ID}, {"doctor"}} {
		r := cli(t, append(env, "PERDURE_LISTEN="+d.up.Listen), args...)
		ask := "perdure get --store " + d.url() + " " + made.ID
		if r.code != exitError || !strings.Contains(r.stderr, "REDIS_URL says") || strings.Contains(r.stderr, "SESSION_STORE_TYPE") || strings.Contains(r.stderr, ask) != (args[0] == "get") {
			t.Errorf("%s without Redis: %+v", args, r)
		}
	}
	if r := refused(t, append(env, "REDIS_FALLBACK_ENABLED=false")...); !strings.Contains(r.stderr, "set REDIS_FALLBACK_ENABLED=true") {
		t.Errorf("serve without Redis: %+v", r)
	}
	if r := refused(t, append(env, "REDIS_FALLBACK_ENABLED=false")...); r.code != exitError || !strings.Contains(r.stderr, server.Addr()) || strings.Contains(r.stderr, "hunter2") {
		t.Errorf("serve without Redis: %+v", r)
	}
	status, body := readiness(t, d.url())
	if status != http.StatusOK || !strings.Contains(body, "redis degraded") {
		t.Errorf("the daemon without Redis: %d %s", status, body)
	}
	later := startDaemon(t, env...)
	if later.up.State != "degraded" {
		t.Errorf("announced %+v", later.up)
	}
	if kept := later.create(`{"userId":"ada"}`); kept.ID == "" {
		t.Error("no session without Redis")
	}
	if r := later.end(); r.code != exitOK || strings.Contains(r.stderr, "hunter2") {
		t.Errorf("serve that has never seen Redis: %+v", r)
	}
	for _, args := range [][]string{{"list"}, {"doctor"}, {"list", "--store", server.URL()}} {
		r := cli(t, env, args...)
		if r.code != exitError || r.stdout != "" || !strings.Contains(r.stderr, server.Addr()) || strings.Contains(r.stderr, "hunter2") {
			t.Errorf("%v without Redis: %+v", args, r)
		}
	}
}

// TestDoctorOnRedis: a server that may evict sessions is a finding, with what to
// do about it, and serve warns of it.
func TestDoctorOnRedis(t *testing.T) {
	server := redistest.Start(t, redistest.Options{Config: []string{"maxmemory 100mb", "maxmemory-policy allkeys-lru"}})
	env := []string{"REDIS_URL=" + server.URL(), "SESSION_STORE_REPLICATION_ENABLED=true"}
	r := cli(t, env, "doctor", "--json")
	reports := decode[map[string]any](t, r.stdout)
	if len(reports) != 1 {
		t.Fatalf("%+v", r)
	}
	findings := reports[0]["findings"].([]any)
	worst, found := findings[0].(map[string]any), false
	for _, f := range findings {
		f := f.(map[string]any)
		found = found || strings.Contains(f["found"].(string), "allkeys-lru") && f["advice"] != "" && f["severity"] != "ok"
	}
	if !found || !strings.Contains(r.stdout, "SESSION_STORE_REPLICATION_ENABLED=true") {
		t.Errorf("findings: %s", r.stdout)
	}
	if (worst["severity"] == "error") != (r.code == exitError) {
		t.Errorf("the exit code is %d at %v", r.code, worst)
	}
	if r := startDaemon(t, env...).end(); !strings.Contains(r.stderr, "allkeys-lru") {
		t.Errorf("serve does not warn: %+v", r)
	}
	if r := refused(t, append(env, "PERDURE_REDIS_REFUSE_EVICTION=true")...); r.code != exitUsage || !strings.Contains(r.stderr, "noeviction") {
		t.Errorf("serve starts all the same: %+v", r)
	}
}

func TestVerdict(t *testing.T) {
	r := report{Findings: []perdure.Finding{{Severity: perdure.SeverityWarning}}}
	if err := r.verdict(); err != nil {
		t.Error(err)
	}
	r.Findings[0].Severity = perdure.SeverityError
	if code := exitCode(r.verdict()); code != exitError {
		t.Error(code)
	}
}

// TestServeStopsAtAnAnswer: a Redis that the configuration does not fit is no outage.
func TestServeStopsAtAnAnswer(t *testing.T) {
	server := redistest.Start(t, redistest.Options{Password: "opensesame"})
	r := refused(t, "REDIS_URL=redis://:hunter2@"+server.Addr())
	if r.code != exitUsage || !strings.Contains(r.stderr, "REDIS_URL") || !strings.Contains(r.stderr, "WRONGPASS") || strings.Contains(r.stderr, "hunter2") {
		t.Errorf("%+v", r)
	}
}
