package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/perdure/perdure/backend/redis"
	"github.com/perdure/perdure/internal/redistest"
	"github.com/perdure/perdure/server"
)

// TestRedisGoesAndComesBack: without Redis nothing is "not found", readiness is
// red and the process alive; with it all is as before.
func TestRedisGoesAndComesBack(t *testing.T) {
	redisServer := redistest.Start(t, redistest.Options{Persist: true})
	backend, err := redis.Open(t.Context(), redis.Options{URL: redisServer.URL()})
	if err != nil {
		t.Fatal(err)
	}
	r := startRig(t, backend, server.Options{})
	id := r.create("ada")
	if status, body := r.get("/readyz?verbose"); status != http.StatusOK {
		t.Fatalf("readiness: %d %s", status, body)
	}
	if err := redisServer.Kill(); err != nil {
		t.Fatal(err)
	}
	if status, body := r.get("/readyz?verbose"); status != http.StatusServiceUnavailable || !strings.Contains(body, "[-] store failed") {
		t.Errorf("readiness without Redis: %d %s", status, body)
	}
	if status, _ := r.get("/livez"); status != http.StatusOK {
		t.Errorf("liveness without Redis: %d", status)
	}
	for method, body := range map[string]string{
		"GetSession": `{"id":"00AAAAAAAAAAAAAAAAAAAAAA"}`, "ValidateSession": `{"id":"00AAAAAAAAAAAAAAAAAAAAAA"}`,
		"TouchSession": `{"id":"` + id + `"}`, "DeleteSession": `{"id":"00AAAAAAAAAAAAAAAAAAAAAA"}`, "CreateSession": `{"userId":"ada"}`,
		"BatchGetSessions": `{"ids":["00AAAAAAAAAAAAAAAAAAAAAA"]}`, "ListSessions": `{}`, "RevokeUserSessions": `{"userId":"nobody"}`,
	} {
		status, reply := r.post(method, body)
		if status != http.StatusServiceUnavailable || reply["code"] != "unavailable" || strings.Contains(reply["message"].(string), redisServer.Addr()) {
			t.Errorf("%s without Redis: %d %v", method, status, reply)
		}
	}
	if err := redisServer.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	for status := 0; status != http.StatusOK; status, _ = r.get("/readyz") {
		if t.Context().Err() != nil {
			t.Fatal("not ready again")
		}
	}
	if s := r.session("GetSession", `{"id":"`+id+`"}`); s["userId"] != "ada" {
		t.Errorf("after the restart: %v", s)
	}
}
