package server_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/server"
)

// interrupted is a backend in an outage that began in the middle of a list: it cannot
// go on with that, and does not know of one id.
type interrupted struct {
	perdure.Backend
	unknown string
}

func (i *interrupted) Load(ctx context.Context, ids []string) ([]perdure.Record, error) {
	records, err := i.Backend.Load(ctx, ids)
	if err != nil {
		return nil, err
	}
	var open perdure.UnansweredError
	for n, id := range ids {
		if id == i.unknown {
			records[n] = perdure.Record{}
			open.Add(id, perdure.ErrUnavailable)
		}
	}
	return records, open.With(nil, len(ids))
}

func (i *interrupted) Scan(ctx context.Context, q perdure.ScanQuery) (perdure.Page, error) {
	if q.After != "" {
		return perdure.Page{}, perdure.ErrListExpired
	}
	return i.Backend.Scan(ctx, q)
}

// TestCallsAcrossAnOutage: a list that cannot go on says that it has to begin anew, and
// of many ids those are named that cannot be answered, beside the others.
func TestCallsAcrossAnOutage(t *testing.T) {
	backend := &interrupted{Backend: openMemory(t)}
	r := startRig(t, backend, server.Options{})
	known, gone := r.create("ada"), perdure.NewID(7)
	backend.unknown = r.create("ada")

	_, page := r.post("ListSessions", `{"pageSize":1}`)
	token, _ := page["nextPageToken"].(string)
	status, reply := r.post("ListSessions", `{"pageSize":1,"pageToken":"`+token+`"}`)
	if text, _ := reply["message"].(string); status != http.StatusBadRequest || reply["code"] != "out_of_range" || !strings.Contains(text, "begin the list anew") {
		t.Errorf("the next page of %q: %d %v", token, status, reply)
	}

	status, raw := r.postRaw("BatchGetSessions", `{"ids":["`+known+`","`+backend.unknown+`","`+gone+`"]}`)
	if want := `"notFound":["` + gone + `"],"unreadable":[],"unavailable":["` + backend.unknown + `"]}` + "\n"; status != http.StatusOK ||
		!strings.HasSuffix(raw, want) || !strings.Contains(raw, `"id":"`+known+`"`) || strings.Contains(raw, `"id":"`+backend.unknown+`"`) {
		t.Errorf("%d %s, not …%s", status, raw, want)
	}
	if status, reply := r.post("BatchGetSessions", `{"ids":["`+backend.unknown+`"]}`); status != http.StatusServiceUnavailable {
		t.Errorf("of that alone: %d %v", status, reply)
	}
}
