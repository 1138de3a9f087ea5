package server_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/perdure/perdure"
	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
	"github.com/perdure/perdure/server"
)

// TestRefusedRequests: each wrong request names its field, in every protocol the
// same code.
func TestRefusedRequests(t *testing.T) {
	r := startRig(t, nil, server.Options{})
	id := r.create("ada")
	for _, c := range []struct{ method, body, text string }{
		{"CreateSession", `{}`, "userId"},
		{"CreateSession", `{"userId":"` + strings.Repeat("x", 257) + `"}`, "userId"},
		{"CreateSession", `{"userId":"a\u0000b"}`, "userId"},
		{"CreateSession", `{"userId":"a","roles":[""]}`, "roles"},
		{"CreateSession", `{"userId":"a","ttlSeconds":0}`, "ttlSeconds: is 0"},
		{"CreateSession", `{"userId":"a","ttlSeconds":-1}`, "ttlSeconds: is -1"},
		{"CreateSession", `{"userId":"a","ttlSeconds":9223372036854775807}`, "ttlSeconds: is 9223372036854775807; at most 34560000 is allowed"},
		{"CreateSession", `{"userId":"a","ttlSeconds":34560001}`, "ttlSeconds: is 34560001; at most 34560000 is allowed"},
		{"CreateSession", `{"userId":"a","ttlSeconds":60,"expiresAt":"2999-01-01T00:00:00Z"}`, "ttlSeconds: and expiresAt"},
		{"CreateSession", `{"userId":"a","expiresAt":"2001-01-01T00:00:00Z"}`, "expiresAt"},
		{"CreateSession", `{"userId":"a","expiresAt":"0001-01-01T00:00:00Z"}`, "expiresAt"},
		{"CreateSession", `{"userId":"a","expiresAt":"9999-01-01T00:00:00Z"}`, "expiresAt"},
		{"CreateSession", `{"userId":"a","metadata":{"x":"` + strings.Repeat("m", 65<<10) + `"}}`, "metadata"},
		{"CreateSession", `{"userId":"a","metadata":{"` + strings.Repeat("é", 99) + `":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}}`, "metadata"},
		{"CreateSession", `{"userId":"a","metadata":[]}`, "unmarshal message"},
		{"CreateSession", `{"userId":"a","user":"b"}`, `unknown field "user"; the fields of this request are userId, username, roles, metadata, ttlSeconds, expiresAt`},
		{"CreateSession", ``, "unmarshal message"},
		{"CreateSession", `null`, "unmarshal message"},
		{"CreateSession", `{"userId":"a"} x`, "unmarshal message"},
		{"GetSession", `{}`, "id: has 0 bytes"},
		{"GetSession", `{"id":"x"}`, "id: has 1 bytes"},
		{"GetSession", `{"id":"0123456789abcde:"}`, "id: has a character"},
		{"ValidateSession", `{}`, "id"},
		{"BatchGetSessions", `{"ids":[` + strings.Repeat(`"x",`, 1000) + `"x"]}`, "ids: has 1001 entries; at most 1000"},
		{"UpdateSession", `{"id":"` + id + `","roles":[1]}`, "roles: has an entry at position 0"},
		{"UpdateSession", `{"id":"` + id + `","expectedVersion":""}`, "expectedVersion"},
		{"UpdateSession", `{"id":"` + id + `","expectedVersion":"000000000000000000000000"}`, "expectedVersion"},
		{"UpdateSession", `{"id":"` + id + `","expectedVersion":"zz"}`, "expectedVersion"},
		{"UpdateSession", `{"id":"` + id + `","expiresAt":"2001-01-01T00:00:00Z"}`, "expiresAt"},
		{"UpdateSession", `{"id":"` + id + `","expiresAt":"0001-01-01T00:00:00Z"}`, "expiresAt"},
		{"RefreshSession", `{"id":"` + id + `","ttlSeconds":0}`, "ttlSeconds"},
		{"ListSessions", `{"pageSize":1001}`, "pageSize"},
		{"ListSessions", `{"pageSize":-1}`, "pageSize"},
		{"ListSessions", `{"pageToken":"rubbish"}`, "pageToken"},
		{"RevokeUserSessions", `{}`, "userId"},
		{"RevokeUserSessions", `{"userId":"a","exceptIds":["x"]}`, "id"},
	} {
		status, reply := r.post(c.method, c.body)
		if text, _ := reply["message"].(string); status != http.StatusBadRequest || reply["code"] != "invalid_argument" || !strings.Contains(text, c.text) {
			t.Errorf("%s %.99s answered %d %v", c.method, c.body, status, reply)
		}
	}
}

func TestMissingSessions(t *testing.T) {
	r := startRig(t, nil, server.Options{})
	for _, method := range []string{"GetSession", "UpdateSession", "RefreshSession"} {
		if status, reply := r.post(method, `{"id":"00AAAAAAAAAAAAAAAAAAAAAA"}`); status != http.StatusNotFound || reply["code"] != "not_found" {
			t.Errorf("%s answered %d %v", method, status, reply)
		}
	}
}

// TestARefreshThatCameSecond is told from a logout, and not told the new id.
func TestARefreshThatCameSecond(t *testing.T) {
	r := startRig(t, nil, server.Options{})
	old := r.create("ada")
	fresh := r.session("RefreshSession", `{"id":"`+old+`"}`)["id"].(string)
	rotated := func(err error) bool {
		var failed *connect.Error
		if !errors.As(err, &failed) || failed.Code() != connect.CodeNotFound || len(failed.Details()) != 1 || strings.Contains(fmt.Sprint(failed.Message(), failed.Details()), fresh) {
			return false
		}
		detail, err := failed.Details()[0].Value()
		told, ok := detail.(*perdurev1.SessionRotated)
		return err == nil && ok && time.Since(told.GetRotatedAt().AsTime()).Abs() < time.Hour && strings.Contains(failed.Message(), "rotated")
	}
	for _, option := range protocols() {
		client := r.client(option)
		if _, err := client.RefreshSession(t.Context(), &perdurev1.RefreshSessionRequest{Id: old}); !rotated(err) {
			t.Errorf("RefreshSession: %v", err)
		}
		if _, err := client.GetSession(t.Context(), &perdurev1.GetSessionRequest{Id: old}); !rotated(err) {
			t.Errorf("GetSession: %v", err)
		}
		if reply, err := client.ValidateSession(t.Context(), &perdurev1.ValidateSessionRequest{Id: old}); err != nil || reply.GetValid() || reply.GetRotatedAt() == nil {
			t.Errorf("ValidateSession: %v, %v", reply, err)
		}
		if _, err := client.GetSession(t.Context(), &perdurev1.GetSessionRequest{Id: "00AAAAAAAAAAAAAAAAAAAAAA"}); rotated(err) {
			t.Errorf("a session that there never was: %v", err)
		}
	}
	if status, reply := r.post("GetSession", `{"id":"`+old+`"}`); status != http.StatusNotFound || !strings.Contains(fmt.Sprint(reply["details"]), "perdure.v1.SessionRotated") {
		t.Errorf("%d %v", status, reply)
	}
}

func TestRequestTooLarge(t *testing.T) {
	r := startRig(t, nil, server.Options{MaxRequest: 1000})
	status, reply := r.post("CreateSession", `{"userId":"a","metadata":{"x":"`+strings.Repeat("m", 1000)+`"}}`)
	if status != http.StatusTooManyRequests || reply["code"] != "resource_exhausted" {
		t.Errorf("answered %d %v", status, reply)
	}
}

// broken is a backend that fails as it is told.
type broken struct {
	perdure.Backend
	err   error
	fault any // to panic with
}

func (b *broken) Get(ctx context.Context, id string) (perdure.Record, error) {
	if b.fault != nil {
		panic(b.fault)
	}
	if b.err != nil {
		return perdure.Record{}, b.err
	}
	return b.Backend.Get(ctx, id)
}

func (b *broken) Ping(ctx context.Context) error {
	if b.err != nil {
		return b.err
	}
	return b.Backend.Ping(ctx)
}

const secret = "10.0.0.3:6379 hunter2"

// TestErrorCodes: each error of a store has its code, and its text shows nothing
// of the inside.
func TestErrorCodes(t *testing.T) {
	for _, c := range []struct {
		err    error
		code   connect.Code
		logged bool
	}{
		{perdure.ErrNotFound, connect.CodeNotFound, false},
		{perdure.ErrConflict, connect.CodeAborted, false},
		{perdure.ErrExists, connect.CodeAlreadyExists, false},
		{perdure.ErrDenied, connect.CodePermissionDenied, false},
		{&perdure.InvalidError{Field: "id", Problem: "is wrong"}, connect.CodeInvalidArgument, false},
		{fmt.Errorf("%w: %s", perdure.ErrFull, secret), connect.CodeResourceExhausted, true},
		{fmt.Errorf("%w: %s", perdure.ErrUnavailable, secret), connect.CodeUnavailable, true},
		{fmt.Errorf("%w: %s: %w", perdure.ErrUnavailable, secret, context.DeadlineExceeded), connect.CodeUnavailable, true},
		{fmt.Errorf("%w: %s", perdure.ErrClosed, secret), connect.CodeUnavailable, true},
		{fmt.Errorf("%w: %s", perdure.ErrSkew, secret), connect.CodeUnavailable, true},
		{fmt.Errorf("%w: %s", perdure.ErrFormat, secret), connect.CodeDataLoss, true},
		{fmt.Errorf("%w: %s", perdure.ErrFeedGap, secret), connect.CodeOutOfRange, false},
		{errors.New(secret), connect.CodeInternal, true},
	} {
		backend := &broken{Backend: openMemory(t), err: c.err}
		r := startRig(t, backend, server.Options{})
		for _, option := range protocols() {
			_, err := r.client(option).GetSession(t.Context(), &perdurev1.GetSessionRequest{Id: "00AAAAAAAAAAAAAAAAAAAAAA"})
			if connect.CodeOf(err) != c.code || strings.Contains(err.Error(), secret) {
				t.Errorf("%v became %v", c.err, err)
			}
		}
		if logged := strings.Contains(r.log.String(), `"WARN"`); logged != c.logged {
			t.Errorf("%v: logged as a warning: %v\n%s", c.err, logged, r.log)
		}
	}
}

func TestPanicIsAnInternalError(t *testing.T) {
	backend := &broken{Backend: openMemory(t), fault: secret}
	r := startRig(t, backend, server.Options{})
	status, reply := r.post("GetSession", `{"id":"00AAAAAAAAAAAAAAAAAAAAAA"}`)
	if status != http.StatusInternalServerError || reply["code"] != "internal" || strings.Contains(fmt.Sprint(reply), secret) {
		t.Errorf("answered %d %v", status, reply)
	}
	if log := r.log.String(); strings.Contains(log, secret) || !strings.Contains(log, "broken") || !strings.Contains(log, `"ERROR"`) {
		t.Errorf("the log should have the stack and not the value: %s", log)
	}
}

// waiting is a backend whose Get answers when it is told, or with the context.
type waiting struct {
	perdure.Backend
	entered, release chan struct{}
}

func (w *waiting) Get(ctx context.Context, id string) (perdure.Record, error) {
	w.entered <- struct{}{}
	select {
	case <-w.release:
		return w.Backend.Get(ctx, id)
	case <-ctx.Done():
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return perdure.Record{}, fmt.Errorf("%w: %w", perdure.ErrUnavailable, ctx.Err())
		}
		return perdure.Record{}, ctx.Err()
	}
}

func newWaiting(t *testing.T) *waiting {
	return &waiting{Backend: openMemory(t), entered: make(chan struct{}, 1), release: make(chan struct{})}
}

func TestDeadlineOfTheCaller(t *testing.T) {
	r := startRig(t, newWaiting(t), server.Options{})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.url+"/perdure.v1.SessionService/GetSession", strings.NewReader(`{"id":"00AAAAAAAAAAAAAAAAAAAAAA"}`))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Connect-Timeout-Ms", "1")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusGatewayTimeout {
		t.Errorf("answered %s", response.Status)
	}
}
