package server

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
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
	text, err := protojson.Marshal(metadata)
	if err != nil {
		t.Fatal(err)
	}
	session := &perdurev1.Session{
		Id: "id", UserId: `"\`, Username: "Ä\t", Roles: []string{"a", "b"}, Metadata: metadata, MetadataJson: string(text),
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
		&perdurev1.ValidateSessionResponse{RotatedAt: session.GetCreatedAt()},
		&perdurev1.ValidateSessionResponse{Valid: true, Session: session},
		&perdurev1.BatchGetSessionsResponse{},
		&perdurev1.BatchGetSessionsResponse{Sessions: []*perdurev1.Session{session, bare}, NotFound: []string{"x", "y"}, Unreadable: []string{"z"}, Unavailable: []string{"w"}},
		&perdurev1.ListSessionsResponse{},
		&perdurev1.ListSessionsResponse{Sessions: []*perdurev1.Session{bare, session}, NextPageToken: `t"`, Unreadable: []string{"x", `"`}, Incomplete: true},
		&perdurev1.TouchSessionResponse{},
		&perdurev1.WatchSessionsResponse{Changes: []*perdurev1.Change{{}}},
	} {
		message = proto.Clone(message) // they share sessions
		got, err := jsonCodec{}.Marshal(message)
		if err != nil {
			t.Fatal(err)
		}
		withoutText(message)
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
		if normal(w); !reflect.DeepEqual(g, w) {
			t.Errorf("%T is written as\n%s, not\n%s", message, got, want)
		}
		back := message.ProtoReflect().New().Interface()
		if err := (jsonCodec{}).Unmarshal(got, back); err != nil || !proto.Equal(back, message) {
			t.Errorf("%s is read back as %v, %v", got, back, err)
		}
	}
}

// withoutText empties what a reply in JSON does not show.
func withoutText(message proto.Message) {
	switch m := message.(type) {
	case interface{ GetSession() *perdurev1.Session }:
		if m.GetSession() != nil {
			m.GetSession().MetadataJson = ""
		}
	case interface{ GetSessions() []*perdurev1.Session }:
		for _, session := range m.GetSessions() {
			session.MetadataJson = ""
		}
	}
}

// normal gives times without a fraction the three digits that the codec always
// writes, and leaves out the text of metadata.
func normal(v any) {
	switch v := v.(type) {
	case map[string]any:
		delete(v, "metadataJson")
		for key, value := range v {
			if text, ok := value.(string); ok {
				if at, err := time.Parse(time.RFC3339, text); err == nil {
					v[key] = at.Format("2006-01-02T15:04:05.000Z")
				}
			}
			normal(value)
		}
	case []any:
		for _, value := range v {
			normal(value)
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

// FuzzMetadata: a value comes out of the JSON form as it was stored, digit by digit,
// and out of the binary form as the same number or with its text beside it.
func FuzzMetadata(f *testing.F) {
	for _, seed := range []string{`1`, `1.0`, `"x"`, `"\u0000"`, `-0`, `0e5`, `1e400`, `1e-400`, `[[[]]]`, `{"a":{"b":null}}`, "\"\xff\"", `9007199254740993`, `12345678901234567890`, `0.1`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		var stored bytes.Buffer // without white space, as the Store keeps it
		if json.Compact(&stored, []byte(raw)) != nil {
			return
		}
		store := newMemoryStore(t)
		session, err := store.Create(t.Context(), perdure.Data{UserID: "ada", Metadata: map[string]any{"x": json.RawMessage(raw)}})
		if err != nil {
			return // nested too deeply
		}
		text := metadataText(session.Metadata)
		if want := `{"x":` + stored.String() + `}`; utf8.ValidString(raw) && text != want {
			t.Errorf("%q became %q", want, text)
		}
		object, exact := toStruct(text)
		var want, got map[string]any
		if json.Unmarshal([]byte(text), &want) != nil {
			if exact {
				t.Errorf("%q is said to be exact in floating point", text)
			}
			return
		}
		out, err := object.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(out, &got); err != nil || !reflect.DeepEqual(want, got) {
			t.Errorf("%q became %q", text, out)
		}
	})
}

func newMemoryStore(t *testing.T) *perdure.Store {
	backend, err := local.Open(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store, err := perdure.New(backend, perdure.Options{SweepInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// Numbers that 64-bit floating point would change are told from those it would not.
func TestExactNumbers(t *testing.T) {
	for number, want := range map[string]bool{
		"0": true, "-0": true, "1": true, "1.0": true, "0.1": true, "-12.50": true, "1e3": true, "0e9": true, "0.000": true, "-0.0e-5": true, "1.5e300": true,
		"9007199254740993": false, "9007199254740992": true, "123456789012345678": false, "0.1000000000000000055511151231257827": false,
		"1e400": false, "1e-400": false, "-1e-99999999": false, "100000000000000000000": true,
	} {
		if _, exact := toStruct(`{"x":[` + number + `]}`); exact != want {
			t.Errorf("%s: exact %v, want %v", number, exact, want)
		}
	}
}
