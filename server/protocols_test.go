package server_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
	"github.com/perdure/perdure/proto/perdure/v1/perdurev1connect"
	"github.com/perdure/perdure/server"
)

// protocols are those that the server speaks.
func protocols() map[string]connect.ClientOption {
	return map[string]connect.ClientOption{
		"connect":      connect.WithClientOptions(),
		"connect json": connect.WithProtoJSON(),
		"grpc":         connect.WithGRPC(),
		"grpc json":    connect.WithClientOptions(connect.WithGRPC(), connect.WithProtoJSON()),
		"grpc-web":     connect.WithGRPCWeb(),
		"gzip":         connect.WithClientOptions(connect.WithGRPC(), connect.WithSendGzip()),
	}
}

// TestEveryMethodInEveryProtocol walks one session through its life.
func TestEveryMethodInEveryProtocol(t *testing.T) {
	r := startRig(t, nil, server.Options{})
	for _, name := range slices.Sorted(maps.Keys(protocols())) {
		t.Run(name, func(t *testing.T) { walk(t, r.client(protocols()[name]), "user of "+name) })
	}
}

// must ends the test at an error.
func must[T any](t *testing.T) func(T, error) T {
	return func(value T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return value
	}
}

func walk(t *testing.T, client perdurev1connect.SessionServiceClient, user string) {
	ctx := t.Context()
	stream, err := client.WatchSessions(ctx, &perdurev1.WatchSessionsRequest{})
	if err != nil || !stream.Receive() {
		t.Fatal("watch:", err, stream.Err())
	}
	defer stream.Close()

	metadata := must[*structpb.Struct](t)(structpb.NewStruct(map[string]any{"theme": "dark", "list": []any{1.0, nil, map[string]any{}}}))
	created := must[*perdurev1.CreateSessionResponse](t)(client.CreateSession(ctx, &perdurev1.CreateSessionRequest{
		UserId: user, Username: "Ada", Roles: []string{"a"}, Metadata: metadata, ExpiresAt: timestamppb.New(time.Now().Add(time.Hour)),
	})).GetSession()
	if created.GetUserId() != user || !proto.Equal(created.GetMetadata(), metadata) {
		t.Errorf("created %v", created)
	}
	id := created.GetId()
	if got := must[*perdurev1.GetSessionResponse](t)(client.GetSession(ctx, &perdurev1.GetSessionRequest{Id: id})).GetSession(); !proto.Equal(got, created) {
		t.Errorf("got %v, created %v", got, created)
	}
	updated := must[*perdurev1.UpdateSessionResponse](t)(client.UpdateSession(ctx, &perdurev1.UpdateSessionRequest{
		Id: id, Roles: &structpb.ListValue{}, ExpectedVersion: proto.String(created.GetVersion()),
	})).GetSession()
	if len(updated.GetRoles()) != 0 || updated.GetUsername() != "Ada" {
		t.Errorf("updated %v", updated)
	}
	if !must[*perdurev1.TouchSessionResponse](t)(client.TouchSession(ctx, &perdurev1.TouchSessionRequest{Id: id})).GetTouched() {
		t.Error("not touched")
	}
	if !must[*perdurev1.ValidateSessionResponse](t)(client.ValidateSession(ctx, &perdurev1.ValidateSessionRequest{Id: id})).GetValid() {
		t.Error("not valid")
	}
	fresh := must[*perdurev1.RefreshSessionResponse](t)(client.RefreshSession(ctx, &perdurev1.RefreshSessionRequest{Id: id})).GetSession().GetId()
	batch := must[*perdurev1.BatchGetSessionsResponse](t)(client.BatchGetSessions(ctx, &perdurev1.BatchGetSessionsRequest{Ids: []string{id, fresh}}))
	if len(batch.GetSessions()) != 1 || !slices.Equal(batch.GetNotFound(), []string{id}) {
		t.Errorf("batch %v", batch)
	}
	other := must[*perdurev1.CreateSessionResponse](t)(client.CreateSession(ctx, &perdurev1.CreateSessionRequest{UserId: user, TtlSeconds: proto.Int64(60)})).GetSession().GetId()
	if list := must[*perdurev1.ListSessionsResponse](t)(client.ListSessions(ctx, &perdurev1.ListSessionsRequest{UserId: user})); len(list.GetSessions()) != 2 {
		t.Errorf("list %v", list)
	}
	if n := must[*perdurev1.RevokeUserSessionsResponse](t)(client.RevokeUserSessions(ctx, &perdurev1.RevokeUserSessionsRequest{UserId: user, ExceptIds: []string{other}})).GetRevoked(); n != 1 {
		t.Errorf("revoked %d", n)
	}
	if !must[*perdurev1.DeleteSessionResponse](t)(client.DeleteSession(ctx, &perdurev1.DeleteSessionRequest{Id: other})).GetDeleted() {
		t.Error("not deleted")
	}
	if _, err := client.GetSession(ctx, &perdurev1.GetSessionRequest{Id: other}); connect.CodeOf(err) != connect.CodeNotFound {
		t.Error("a deleted session:", err)
	}
	if _, err := client.CreateSession(ctx, &perdurev1.CreateSessionRequest{}); connect.CodeOf(err) != connect.CodeInvalidArgument {
		t.Error("a session without user:", err)
	}
	for deleted := false; !deleted; {
		deleted = slices.ContainsFunc(next(t, stream).GetChanges(), func(c *perdurev1.Change) bool {
			return c.GetId() == other && c.GetKind() == "deleted" && c.GetReason() == "logout"
		})
	}
}
