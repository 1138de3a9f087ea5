package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/server"
)

// TestForCurl: a reply ends the line that it is on, also that of an error; and at the
// root a newcomer is told what there is.
func TestForCurl(t *testing.T) {
	backend := &broken{Backend: openMemory(t)}
	r := startRig(t, backend, server.Options{})
	for method, body := range map[string]string{
		"CreateSession": `{"userId":"ada"}`, "ListSessions": `{}`, "GetSession": `{"id":"` + perdure.NewID(0) + `"}`, "TouchSession": `{"id":"x"}`,
	} {
		if _, text := r.postRaw(method, body); !strings.HasSuffix(text, "}\n") || strings.HasSuffix(text, "\n\n") {
			t.Errorf("%s: %q", method, text)
		}
	}
	if status, body := r.get("/"); status != http.StatusNotFound || !strings.Contains(body, "CreateSession") || !strings.Contains(body, "/readyz?verbose") {
		t.Errorf("at the root: %d %q", status, body)
	}
}
