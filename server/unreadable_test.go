package server_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/perdure/perdure/backend/redis"
	"github.com/perdure/perdure/internal/redistest"
	"github.com/perdure/perdure/server"
)

// TestOneByteStopsNoReply: lists and batches have the other sessions, and name the
// one that cannot be read.
func TestOneByteStopsNoReply(t *testing.T) {
	redisServer := redistest.Start(t, redistest.Options{})
	backend, err := redis.Open(t.Context(), redis.Options{URL: redisServer.URL(), NearCacheBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	r := startRig(t, backend, server.Options{})
	lost, left := r.create("ada"), r.create("ada")
	redisServer.Spoil(t, lost, redistest.SpoilFormat)
	for method, body := range map[string]string{
		"ListSessions": `{"userId":"ada"}`, "BatchGetSessions": fmt.Sprintf(`{"ids":[%q,%q]}`, lost, left),
	} {
		status, reply := r.post(method, body)
		sessions, _ := reply["sessions"].([]any)
		if status != http.StatusOK || fmt.Sprint(reply["unreadable"]) != "["+lost+"]" || len(sessions) != 1 || sessions[0].(map[string]any)["id"] != left {
			t.Errorf("%s: %d %v", method, status, reply)
		}
	}
}
