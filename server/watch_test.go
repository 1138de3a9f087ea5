package server_test

import (
	"strings"
	"testing"

	"connectrpc.com/connect"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
	"github.com/perdure/perdure/server"
)

// next is the next message that has changes.
func next(t *testing.T, stream *connect.ServerStreamForClient[perdurev1.WatchSessionsResponse]) *perdurev1.WatchSessionsResponse {
	t.Helper()
	for stream.Receive() {
		if len(stream.Msg().GetChanges()) > 0 {
			return stream.Msg()
		}
	}
	t.Fatal("the stream ended:", stream.Err())
	return nil
}

func TestWatchResumes(t *testing.T) {
	r := startRig(t, nil, server.Options{})
	watch := func(cursor string) *connect.ServerStreamForClient[perdurev1.WatchSessionsResponse] {
		stream, err := r.client(connect.WithGRPC()).WatchSessions(t.Context(), &perdurev1.WatchSessionsRequest{Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		return stream
	}
	before := r.create("ada")
	stream := watch("")
	if !stream.Receive() {
		t.Fatal(stream.Err())
	}
	if first := stream.Msg(); first.GetCursor() == "" || len(first.GetChanges()) != 0 {
		t.Errorf("the first message is %v", first)
	}
	one := r.create("ada")
	message := next(t, stream)
	change := message.GetChanges()[0]
	if change.GetId() != one || change.GetKind() != "created" || change.GetReason() != "" || len(change.GetVersion()) != 24 || change.GetAt().AsTime().IsZero() {
		t.Errorf("the change is %v", change)
	}
	stream.Close()

	two := r.create("ada")
	r.post("RevokeUserSessions", `{"userId":"ada","exceptIds":["`+one+`"]}`)
	stream = watch(message.GetCursor())
	var seen []string
	for len(seen) < 3 {
		for _, c := range next(t, stream).GetChanges() {
			seen = append(seen, c.GetKind()+" "+c.GetReason()+" "+c.GetId())
		}
	}
	stream.Close()
	text := strings.Join(seen, "\n")
	for _, want := range []string{"created  " + two, "deleted user_revoked " + two, "deleted user_revoked " + before} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	stream = watch(perdure.FromOldest)
	if c := next(t, stream).GetChanges()[0]; c.GetId() != before {
		t.Errorf("the oldest change is %v", c)
	}
	stream.Close()
}

func TestWatchAfterAGap(t *testing.T) {
	backend, err := local.Open(local.Options{FeedLength: 8})
	if err != nil {
		t.Fatal(err)
	}
	r := startRig(t, backend, server.Options{})
	for name, option := range protocols() {
		client := r.client(option)
		stream, err := client.WatchSessions(t.Context(), &perdurev1.WatchSessionsRequest{})
		if err != nil || !stream.Receive() {
			t.Fatal(err, stream.Err())
		}
		cursor := stream.Msg().GetCursor()
		stream.Close()
		for range 50 {
			r.create("ada")
		}
		stream, err = client.WatchSessions(t.Context(), &perdurev1.WatchSessionsRequest{Cursor: cursor})
		if err != nil {
			t.Fatal(err)
		}
		for stream.Receive() {
		}
		fresh := gapCursor(t, stream.Err())
		stream.Close()
		if stream, err = client.WatchSessions(t.Context(), &perdurev1.WatchSessionsRequest{Cursor: fresh}); err != nil {
			t.Fatal(err)
		}
		id := r.create("ada")
		if c := next(t, stream).GetChanges()[0]; c.GetId() != id {
			t.Errorf("%s: after the gap came %v, not %s", name, c, id)
		}
		stream.Close()
	}
}

// gapCursor is the cursor in the detail of an out_of_range error.
func gapCursor(t *testing.T, err error) string {
	t.Helper()
	var answer *connect.Error
	if connect.CodeOf(err) != connect.CodeOutOfRange {
		t.Fatalf("a gap is %v", err)
	}
	answer, _ = err.(*connect.Error)
	for _, detail := range answer.Details() {
		if value, err := detail.Value(); err == nil {
			if gap, ok := value.(*perdurev1.FeedGap); ok && gap.GetCursor() != "" {
				return gap.GetCursor()
			}
		}
	}
	t.Fatalf("%v has no fresh cursor", err)
	return ""
}

func TestWatchFromRubbish(t *testing.T) {
	r := startRig(t, nil, server.Options{})
	stream, err := r.client().WatchSessions(t.Context(), &perdurev1.WatchSessionsRequest{Cursor: "rubbish"})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for stream.Receive() {
	}
	if err := stream.Err(); connect.CodeOf(err) != connect.CodeInvalidArgument || !strings.Contains(err.Error(), "cursor") {
		t.Errorf("a cursor that is none: %v", err)
	}
}
