package server

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
)

// full is a session with each of its fields set: a field that is added to the
// interface and forgotten here fails the test.
func full(t *testing.T) *perdurev1.Session {
	metadata, err := structpb.NewStruct(map[string]any{
		"": "empty", "ü\n": "\u2028<&>\x7f", "z": -0.25, "a": 1e300, "i": 9007199254740991, "b": true, "n": nil,
		"l": []any{}, "o": map[string]any{"x": []any{1, "2", nil, map[string]any{}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	at := func(ms int64) *timestamppb.Timestamp { return timestamppb.New(time.UnixMilli(ms)) }
	session := &perdurev1.Session{
		Id: "id", UserId: `"\`, Username: "Ä\t", Roles: []string{"a", "b"}, Metadata: metadata,
		CreatedAt: at(1_700_000_000_001), ExpiresAt: at(1_700_000_000_120), LastAccessedAt: at(1_700_000_000_000), Version: "v",
	}
	fields := session.ProtoReflect().Descriptor().Fields()
	for i := range fields.Len() {
		if !session.ProtoReflect().Has(fields.Get(i)) {
			t.Fatalf("%s is not covered", fields.Get(i).Name())
		}
	}
	return session
}

// TestRepliesAreWrittenAsProtojsonWould compares the codec with its reference.
func TestRepliesAreWrittenAsProtojsonWould(t *testing.T) {
	session := full(t)
	bare := &perdurev1.Session{Metadata: &structpb.Struct{}, CreatedAt: &timestamppb.Timestamp{}, ExpiresAt: &timestamppb.Timestamp{}, LastAccessedAt: &timestamppb.Timestamp{}}
	for _, message := range []proto.Message{
		&perdurev1.CreateSessionResponse{Session: session},
		&perdurev1.GetSessionResponse{Session: bare},
		&perdurev1.GetSessionResponse{},
		&perdurev1.UpdateSessionResponse{Session: session},
		&perdurev1.RefreshSessionResponse{Session: session},
		&perdurev1.ValidateSessionResponse{},
		&perdurev1.ValidateSessionResponse{Valid: true, Session: session},
		&perdurev1.BatchGetSessionsResponse{},
		&perdurev1.BatchGetSessionsResponse{Sessions: []*perdurev1.Session{session, bare}, NotFound: []string{"x", "y"}, Unreadable: []string{"z"}},
		&perdurev1.ListSessionsResponse{},
		&perdurev1.ListSessionsResponse{Sessions: []*perdurev1.Session{bare, session}, NextPageToken: `t"`, Unreadable: []string{"x", `"`}, Incomplete: true},
		&perdurev1.TouchSessionResponse{},
		&perdurev1.WatchSessionsResponse{Changes: []*perdurev1.Change{{}}},
	} {
		got, err := jsonCodec{}.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		want, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		var g, w any
		if err := json.Unmarshal(got, &g); err != nil {
			t.Fatalf("%s: %v", got, err)
		}
		if err := json.Unmarshal(want, &w); err != nil {
			t.Fatal(err)
		}
		if normalTimes(w); !reflect.DeepEqual(g, w) {
			t.Errorf("%T is written as\n%s, not\n%s", message, got, want)
		}
		back := message.ProtoReflect().New().Interface()
		if err := (jsonCodec{}).Unmarshal(got, back); err != nil || !proto.Equal(back, message) {
			t.Errorf("%s is read back as %v, %v", got, back, err)
		}
	}
}

// normalTimes gives times without a fraction the three digits that the codec
// always writes.
func normalTimes(v any) {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if text, ok := value.(string); ok {
				if at, err := time.Parse(time.RFC3339, text); err == nil {
					v[key] = at.Format("2006-01-02T15:04:05.000Z")
				}
			}
			normalTimes(value)
		}
	case []any:
		for _, value := range v {
			normalTimes(value)
		}
	}
}

// TestErrorsHoldNoValues: what a request that cannot be read held is in no error,
// and where it stood is.
func TestErrorsHoldNoValues(t *testing.T) {
	for body, want := range map[string]string{
		`{"metadata":{"token": hunter2}}`:            "(line 1:23): invalid value",
		`{"metadata":"hunter2"}`:                     "(line 1:13): unexpected token",
		`{"metadata":{"x":"hunter2\q"}}`:             "invalid escape code",
		`{"metadata":{"hunter2":1,"hunter2":2}}`:     "duplicate map key",
		`{"expiresAt":"hunter2"}`:                    "(line 1:14): invalid google.protobuf.Timestamp value",
		`{"ttlSeconds":"hunter2: invalid value"}`:    "(line 1:15): invalid value for int64 field ttlSeconds",
		`{"userId":{"hunter2":1}}`:                   "(line 1:11): invalid value for string field userId",
		`{"roles":"hunter2"}`:                        "(line 1:10): unexpected token",
		`{"metadata":{"x":"hunter2` + "\x01" + `"}}`: "line 1",
	} {
		err := jsonCodec{}.Unmarshal([]byte(body), &perdurev1.CreateSessionRequest{})
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// FuzzRequest: whatever JSON comes, it is refused or understood, and what is
// understood can be written and read again.
func FuzzRequest(f *testing.F) {
	for _, seed := range []string{
		`{}`, `null`, `[]`, `{"userId":"a"}`, `{"id":"x","roles":[1,"a",null],"metadata":{"a":null,"b":[{}]},"expectedVersion":"00"}`,
		`{"userId":"a","ttlSeconds":"60","expiresAt":"2030-01-01T00:00:00Z"}`, `{"userId":"\ud800"}`, `{"metadata":{"x":1e400}}`, `{"metadata":{"x":NaN}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, message := range []proto.Message{&perdurev1.CreateSessionRequest{}, &perdurev1.UpdateSessionRequest{}, &perdurev1.ListSessionsRequest{}} {
			if err := (jsonCodec{}).Unmarshal(body, message); err != nil {
				if err.Error() == "" {
					t.Error("an error without a text")
				}
				continue
			}
			again, err := jsonCodec{}.Marshal(message)
			if err != nil {
				t.Fatal(err)
			}
			back := message.ProtoReflect().New().Interface()
			if err := (jsonCodec{}).Unmarshal(again, back); err != nil || !proto.Equal(message, back) {
				t.Errorf("%s became %s: %v", body, again, err)
			}
		}
	})
}

// FuzzMetadata: numbers, depth and text of any value survive the way out.
func FuzzMetadata(f *testing.F) {
	for _, seed := range []string{`1`, `"x"`, `"\u0000"`, `-0`, `1e400`, `[[[]]]`, `{"a":{"b":null}}`, "\"\xff\"", `12345678901234567890`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var stored bytes.Buffer // without white space, as the Store keeps it
		if json.Compact(&stored, []byte(raw)) != nil {
			return
		}
		out := appendValue(nil, toValue(stored.Bytes()))
		if !json.Valid(out) {
			t.Fatalf("%q became %q", raw, out)
		}
		var want, got any
		if json.Unmarshal([]byte(raw), &want) != nil {
			return // a number too large: its text is shown
		}
		if err := json.Unmarshal(out, &got); err != nil || !reflect.DeepEqual(want, got) {
			t.Errorf("%q became %q", raw, out)
		}
	})
}
