package remote

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"github.com/perdure/perdure"
	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
	"github.com/perdure/perdure/proto/perdure/v1/perdurev1connect"
)

// NewHandler serves a backend, which stays its owner's to close, and says at which
// path. It authenticates nobody.
func NewHandler(backend perdure.Backend) (path string, handler http.Handler) {
	return perdurev1connect.NewBackendServiceHandler(service{backend}, connect.WithReadMaxBytes(maxMessage))
}

// service implements BackendService. The only error that a method returns by itself
// is none: those of the backend are in the replies.
type service struct{ backend perdure.Backend }

// most bounds what a caller may ask for at once.
func most(limit int32) int { return int(min(limit, 10_000)) }

func (s service) Load(ctx context.Context, q *perdurev1.LoadRequest) (*perdurev1.LoadResponse, error) {
	records, err := s.backend.Load(ctx, textsOf(q.GetIds()))
	return &perdurev1.LoadResponse{Records: packRecords(records), Failure: pass(err)}, nil
}

func (s service) Apply(ctx context.Context, q *perdurev1.ApplyRequest) (*perdurev1.ApplyResponse, error) {
	batches := make([]perdure.Batch, len(q.GetBatches()))
	for i, packed := range q.GetBatches() {
		var err error
		if batches[i], err = unpackBatch(packed); err != nil {
			return &perdurev1.ApplyResponse{Failure: pass(err)}, nil
		}
	}
	results, err := s.backend.Apply(ctx, batches)
	if err != nil {
		return &perdurev1.ApplyResponse{Failure: pass(err)}, nil
	}
	packed := make([]*perdurev1.ApplyResponse_Result, len(results))
	for i := range results {
		r := &results[i]
		packed[i] = &perdurev1.ApplyResponse_Result{
			Outcome: uint32(r.Outcome), Write: int32(r.Write), Stored: packRecord(&r.Stored), Failure: pass(r.Err),
		}
	}
	return &perdurev1.ApplyResponse{Results: packed}, nil
}

func (s service) ListUser(ctx context.Context, q *perdurev1.ListUserRequest) (*perdurev1.PageResponse, error) {
	user := perdure.UserKey(q.GetUser())
	page, err := s.backend.ListUser(ctx, user, string(q.GetAfter()), most(q.GetLimit()))
	return packPage(&page, err), nil
}

func (s service) RemoveUser(ctx context.Context, q *perdurev1.RemoveUserRequest) (*perdurev1.RemoveUserResponse, error) {
	epoch, err := unpackRecord(q.GetEpoch())
	if err != nil {
		return &perdurev1.RemoveUserResponse{Failure: pass(err)}, nil
	}
	removed, err := s.backend.RemoveUser(ctx, perdure.UserRemoval{
		Epoch: epoch, Base: unpackVersion(q.GetBase()), Except: textsOf(q.GetExcept()), Reason: perdure.Reason(min(q.GetReason(), 0xff)),
		Limit: most(q.GetLimit()), After: string(q.GetAfter()),
	})
	return &perdurev1.RemoveUserResponse{
		Outcome: uint32(removed.Outcome), Stored: packRecord(&removed.Stored), Removed: packRecords(removed.Removed),
		Unreadable: bytesOf(removed.Unreadable), Next: []byte(removed.Next), Failure: pass(err),
	}, nil
}

func (s service) Scan(ctx context.Context, q *perdurev1.ScanRequest) (*perdurev1.PageResponse, error) {
	page, err := s.backend.Scan(ctx, perdure.ScanQuery{
		After: string(q.GetAfter()), Limit: most(q.GetLimit()), From: int(q.GetFrom()), To: int(q.GetTo()), Dead: q.GetDead(),
	})
	return packPage(&page, err), nil
}

func (s service) Sweep(ctx context.Context, q *perdurev1.SweepRequest) (*perdurev1.SweepResponse, error) {
	expired, more, err := s.backend.Sweep(ctx, perdure.Millis(q.GetNow()), most(q.GetLimit()))
	return &perdurev1.SweepResponse{Expired: int32(expired), More: more, Failure: pass(err)}, nil
}

func (s service) Changes(ctx context.Context, q *perdurev1.ChangesRequest) (*perdurev1.ChangesResponse, error) {
	wait := time.Duration(min(max(q.GetWaitMs(), 0), longestWait.Milliseconds())) * time.Millisecond
	batch, err := s.backend.Changes(ctx, string(q.GetAfter()), most(q.GetLimit()), wait)
	r := &perdurev1.ChangesResponse{Next: []byte(batch.Next), Failure: pass(err)}
	for i := range batch.Changes {
		c := &batch.Changes[i]
		r.Changes = append(r.Changes, &perdurev1.ChangesResponse_Change{Change: c.Append(nil), At: int64(c.At)})
	}
	return r, nil
}

// longestWait bounds how long a watcher is kept waiting for a change.
const longestWait = time.Minute

func (s service) Stats(ctx context.Context, _ *perdurev1.StatsRequest) (*perdurev1.StatsResponse, error) {
	stats, err := s.backend.Stats(ctx)
	if err != nil {
		return &perdurev1.StatsResponse{Failure: pass(err)}, nil
	}
	text, err := json.Marshal(stats)
	return &perdurev1.StatsResponse{Stats: text, Failure: pass(err)}, nil
}

func (s service) Ping(ctx context.Context, _ *perdurev1.PingRequest) (*perdurev1.PingResponse, error) {
	return &perdurev1.PingResponse{Failure: pass(s.backend.Ping(ctx))}, nil
}

func (s service) Inspect(ctx context.Context, _ *perdurev1.InspectRequest) (*perdurev1.InspectResponse, error) {
	inspector, ok := perdure.As[perdure.Inspector](s.backend)
	if !ok {
		return &perdurev1.InspectResponse{}, nil
	}
	findings, err := inspector.Inspect(ctx)
	r := &perdurev1.InspectResponse{Failure: pass(err)}
	for _, f := range findings {
		r.Findings = append(r.Findings, &perdurev1.InspectResponse_Finding{
			Severity: uint32(f.Severity), Name: f.Name, Found: f.Found, Advice: f.Advice,
		})
	}
	return r, nil
}
