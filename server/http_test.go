package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
	"github.com/perdure/perdure/server"
)

// TestSessionInJSON checks the shape of a session to the field: tests of others
// rely on it.
func TestSessionInJSON(t *testing.T) {
	r := startRig(t, nil, server.Options{})
	session := r.session("CreateSession", `{"userId":"ada","username":"Ada","roles":["user","admin"],
		"metadata":{"theme":"dark","n":3,"deep":{"list":[1,2.5,null,true,"\u00fc\n\"x\""]}},"ttlSeconds":60}`)
	want := []string{"createdAt", "expiresAt", "id", "lastAccessedAt", "metadata", "roles", "userId", "username", "version"}
	if keys := slices.Sorted(maps.Keys(session)); !slices.Equal(keys, want) {
		t.Errorf("a session has the fields %v, not %v", keys, want)
	}
	var metadata any
	if err := json.Unmarshal([]byte(`{"theme":"dark","n":3,"deep":{"list":[1,2.5,null,true,"ü\n\"x\""]}}`), &metadata); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(session["metadata"], metadata) {
		t.Errorf("metadata came back as %v", session["metadata"])
	}
	if session["userId"] != "ada" || session["username"] != "Ada" || fmt.Sprint(session["roles"]) != "[user admin]" {
		t.Errorf("session came back as %v", session)
	}
	created, expires := parseTime(t, session["createdAt"]), parseTime(t, session["expiresAt"])
	if life := expires.Sub(created).Round(time.Second); life != time.Minute {
		t.Errorf("with ttlSeconds 60 it lives %v", life)
	}
	if session["lastAccessedAt"] != session["createdAt"] {
		t.Errorf("last accessed at %v, created at %v", session["lastAccessedAt"], session["createdAt"])
	}
}

func parseTime(t *testing.T, v any) time.Time {
	t.Helper()
	text, _ := v.(string)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// TestDefaultsAreWritten: a shell script greps for these.
func TestDefaultsAreWritten(t *testing.T) {
	r := startRig(t, nil, server.Options{})
	const id = "00AAAAAAAAAAAAAAAAAAAAAA"
	for _, c := range []struct{ method, body, want string }{
		{"TouchSession", `{"id":"` + id + `"}`, `{"touched":false}`},
		{"DeleteSession", `{"id":"` + id + `"}`, `{"deleted":false}`},
		{"ListSessions", `{}`, `{"sessions":[],"nextPageToken":"","unreadable":[],"incomplete":false}`},
		{"ListSessions", `{"userId":"ada"}`, `{"sessions":[],"nextPageToken":"","unreadable":[],"incomplete":false}`},
		{"BatchGetSessions", `{}`, `{"sessions":[],"notFound":[],"unreadable":[],"unavailable":[]}`},
		{"BatchGetSessions", `{"ids":["` + id + `","x"]}`, `{"sessions":[],"notFound":["x","` + id + `"],"unreadable":[],"unavailable":[]}`},
		{"ValidateSession", `{"id":"` + id + `"}`, `{"valid":false}`},
		{"ValidateSession", `{"id":"not an id"}`, `{"valid":false}`},
		{"RevokeUserSessions", `{"userId":"ada"}`, `{"revoked":0}`},
	} {
		if status, reply := r.postRaw(c.method, c.body); status != http.StatusOK || reply != c.want+"\n" {
			t.Errorf("%s %s answered %d %s, not %s", c.method, c.body, status, reply, c.want)
		}
	}
	if s := r.session("CreateSession", `{"userId":"ada"}`); s["username"] != "" || fmt.Sprint(s["roles"], s["metadata"]) != "[] map[]" {
		t.Errorf("a session without anything is %v", s)
	}
}

// TestWithoutContentType: as curl calls when nothing is said.
func TestWithoutContentType(t *testing.T) {
	r := startRig(t, nil, server.Options{})
	response, err := http.PostForm(r.url+"/perdure.v1.SessionService/ListSessions", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if text, err := io.ReadAll(response.Body); response.StatusCode != http.StatusUnsupportedMediaType || !strings.Contains(string(text), "application/json") {
		t.Errorf("%s %s %v", response.Status, text, err)
	}
}

// TestCallByGet: as a browser calls.
func TestCallByGet(t *testing.T) {
	r := startRig(t, nil, server.Options{})
	response, err := http.Get(r.url + "/perdure.v1.SessionService/ListSessions")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != http.MethodPost || !strings.Contains(string(text), "POST") {
		t.Errorf("%s %v %s %v", response.Status, response.Header, text, err)
	}
}

func TestUpdateChangesOnlyWhatIsSet(t *testing.T) {
	r := startRig(t, nil, server.Options{})
	first := r.session("CreateSession", `{"userId":"ada","username":"Ada","roles":["a","b"],"metadata":{"x":1,"y":2}}`)
	id := first["id"].(string)
	update := func(fields string) map[string]any {
		return r.session("UpdateSession", `{"id":"`+id+`"`+fields+`}`)
	}
	if s := update(`,"metadata":{"x":null,"z":{"a":[]}}`); fmt.Sprint(s["metadata"]) != "map[y:2 z:map[a:[]]]" || fmt.Sprint(s["roles"]) != "[a b]" || s["username"] != "Ada" {
		t.Errorf("after a merge of metadata: %v", s)
	}
	if s := update(`,"roles":["c"]`); fmt.Sprint(s["roles"]) != "[c]" {
		t.Errorf("after new roles: %v", s)
	}
	if s := update(`,"username":"Lovelace"`); s["username"] != "Lovelace" || fmt.Sprint(s["roles"]) != "[c]" {
		t.Errorf("after a new name: %v", s)
	}
	if s := update(`,"roles":[],"username":""`); fmt.Sprint(s["roles"]) != "[]" || s["username"] != "" {
		t.Errorf("after clearing: %v", s)
	}
	at := time.Now().Add(48 * time.Hour).UTC().Format(time.RFC3339)
	last := update(`,"expiresAt":"` + at + `"`)
	if got := parseTime(t, last["expiresAt"]); got.Format(time.RFC3339) != at {
		t.Errorf("expiry is %v, not %v", got, at)
	}
	if status, reply := r.post("UpdateSession", `{"id":"`+id+`","username":"x","expectedVersion":"`+first["version"].(string)+`"}`); reply["code"] != "aborted" || status != http.StatusConflict {
		t.Errorf("an old version answered %d %v", status, reply)
	}
	if s := update(`,"username":"y","expectedVersion":"` + last["version"].(string) + `"`); s["username"] != "y" {
		t.Errorf("the present version: %v", s)
	}
}

func TestLifeOfASession(t *testing.T) {
	r := startRig(t, nil, server.Options{TTL: time.Hour})
	id := r.create("ada")
	if _, reply := r.post("TouchSession", `{"id":"`+id+`"}`); reply["touched"] != true {
		t.Errorf("touch: %v", reply)
	}
	_, reply := r.post("ValidateSession", `{"id":"`+id+`"}`)
	if session, ok := reply["session"].(map[string]any); reply["valid"] != true || !ok || session["id"] != id {
		t.Errorf("validate: %v", reply)
	}
	fresh := r.session("RefreshSession", `{"id":"`+id+`"}`)
	if fresh["id"] == id || fresh["userId"] != "ada" {
		t.Errorf("refresh: %v", fresh)
	}
	if left := time.Until(parseTime(t, fresh["expiresAt"])); left > time.Hour || left < 50*time.Minute {
		t.Errorf("refresh extends to %v by default, not to Options.TTL", left)
	}
	if _, reply := r.post("GetSession", `{"id":"`+id+`"}`); reply["code"] != "not_found" {
		t.Errorf("the old id: %v", reply)
	}
	id = fresh["id"].(string)
	if s := r.session("RefreshSession", `{"id":"`+id+`","ttlSeconds":7200}`); time.Until(parseTime(t, s["expiresAt"])) < time.Hour {
		t.Errorf("refresh with a ttl: %v", s)
	} else {
		id = s["id"].(string)
	}
	if _, reply := r.post("DeleteSession", `{"id":"`+id+`"}`); reply["deleted"] != true {
		t.Errorf("delete: %v", reply)
	}
	if _, reply := r.post("ValidateSession", `{"id":"`+id+`"}`); reply["valid"] != false {
		t.Errorf("validate after delete: %v", reply)
	}
}

func TestListAndRevoke(t *testing.T) {
	r := startRig(t, nil, server.Options{})
	all := map[string]bool{}
	var ada []string
	for i := range 25 {
		user := "ada"
		if i%5 == 0 {
			user = fmt.Sprintf("u:%d*{}", i)
		}
		id := r.create(user)
		all[id] = true
		if user == "ada" {
			ada = append(ada, id)
		}
	}
	seen := map[string]bool{}
	for token := ""; ; {
		_, reply := r.post("ListSessions", `{"pageSize":7,"pageToken":"`+token+`"}`)
		for _, s := range reply["sessions"].([]any) {
			seen[s.(map[string]any)["id"].(string)] = true
		}
		if token = reply["nextPageToken"].(string); token == "" {
			break
		}
	}
	if !maps.Equal(seen, all) {
		t.Errorf("listed %d of %d sessions", len(seen), len(all))
	}
	if _, reply := r.post("BatchGetSessions", `{"ids":["`+strings.Join(append(ada, "x", ada[0]), `","`)+`"]}`); len(reply["sessions"].([]any)) != len(ada) || fmt.Sprint(reply["notFound"]) != "[x]" {
		t.Errorf("batch get: %v", reply)
	}
	if _, reply := r.post("RevokeUserSessions", `{"userId":"ada","exceptIds":["`+ada[3]+`"]}`); reply["revoked"] != float64(len(ada)-1) {
		t.Errorf("revoke: %v", reply)
	}
	_, reply := r.post("ListSessions", `{"userId":"ada"}`)
	if left := reply["sessions"].([]any); len(left) != 1 || left[0].(map[string]any)["id"] != ada[3] {
		t.Errorf("left of the user: %v", reply)
	}
}

// TestDigits: numbers come back as they were sent, over HTTP/JSON and from what the
// Go API has stored; in the binary form with their text beside them.
func TestDigits(t *testing.T) {
	r := startRig(t, nil, server.Options{})
	const metadata = `{"big":9007199254740993,"deep":[{"price":10.00}],"one":1.0}`
	status, reply := r.postRaw("CreateSession", `{"userId":"ada","metadata":`+metadata+`}`)
	if status != http.StatusOK || !strings.Contains(reply, `"metadata":`+metadata+`,`) {
		t.Fatalf("CreateSession answered %d %s", status, reply)
	}
	var created struct{ Session struct{ ID string } }
	if err := json.Unmarshal([]byte(reply), &created); err != nil {
		t.Fatal(err)
	}
	id := created.Session.ID
	changed := strings.Replace(metadata, "9007199254740993", "-9007199254740995", 1)
	status, reply = r.postRaw("UpdateSession", `{"id":"`+id+`","metadata":{"big":-9007199254740995}}`)
	if status != http.StatusOK || !strings.Contains(reply, `"metadata":`+changed+`,`) {
		t.Errorf("UpdateSession answered %d %s", status, reply)
	}
	for _, method := range []string{"GetSession", "ValidateSession"} {
		if status, reply := r.postRaw(method, `{"id":"`+id+`"}`); status != http.StatusOK || !strings.Contains(reply, `"metadata":`+changed+`,`) {
			t.Errorf("%s answered %d %s", method, status, reply)
		}
	}
	client := r.client(connect.WithGRPC())
	got, err := client.GetSession(t.Context(), &perdurev1.GetSessionRequest{Id: id})
	if err != nil || got.GetSession().GetMetadataJson() != changed || got.GetSession().GetMetadata().GetFields()["one"].GetNumberValue() != 1 {
		t.Errorf("gRPC has %v, %v", got, err)
	}
	if _, err := client.UpdateSession(t.Context(), &perdurev1.UpdateSessionRequest{Id: id, MetadataJson: `{"big":1.50}`}); err != nil {
		t.Fatal(err)
	}
	if _, reply := r.postRaw("GetSession", `{"id":"`+id+`"}`); !strings.Contains(reply, `"big":1.50,`) {
		t.Errorf("what gRPC sent as text came back as %s", reply)
	}
	if got, err := client.GetSession(t.Context(), &perdurev1.GetSessionRequest{Id: id}); err != nil || got.GetSession().GetMetadataJson() != "" {
		t.Errorf("numbers that floating point holds have a text beside them: %v, %v", got, err)
	}
	for _, text := range []string{`[]`, `{"a":1,"a":2}`, `{"a":"\ud83d"}`, `{"a":`, `{"a":1} x`} {
		if _, err := client.UpdateSession(t.Context(), &perdurev1.UpdateSessionRequest{Id: id, MetadataJson: text}); connect.CodeOf(err) != connect.CodeInvalidArgument {
			t.Errorf("metadata_json of %s: %v", text, err)
		}
	}
	if status, reply := r.postRaw("CreateSession", `{"userId":"ada","metadata":{"a":"\ud83d"}}`); status != http.StatusBadRequest || !strings.Contains(reply, "surrogate") {
		t.Errorf("half of a surrogate pair: %d %s", status, reply)
	}
}
