package remote

import (
	"context"
	"encoding/json"
	"fmt"
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

// service implements BackendService. Methods return no error: those of the backend
// are in the replies.
type service struct{ backend perdure.Backend }

// most bounds what a caller may ask for at once.
func most(limit int32) int { return int(min(limit, 10_000)) }

// tooMany is the failure of a request that carries more than the client ever does.
func tooMany(n int) *perdurev1.Failure {
	if n <= atOnce {
		return nil
	}
	return pass(&perdure.InvalidError{Field: "message", Problem: fmt.Sprintf("carries %d; %d are allowed", n, atOnce)})
}

// Load answers for as many ids as fit into a reply, and for one at least.
func (s service) Load(ctx context.Context, q *perdurev1.LoadRequest) (*perdurev1.LoadResponse, error) {
	if f := tooMany(len(q.GetIds())); f != nil {
		return &perdurev1.LoadResponse{Failure: f}, nil
	}
	ids := textsOf(q.GetIds())
	records, err := s.backend.Load(ctx, ids)
	open, bad, err := perdure.AsUnanswered(err)
	if err != nil {
		return &perdurev1.LoadResponse{Failure: pass(err)}, nil
	}
	fit := fitting(records)
	unansweredSet, unreadableSet := open.Set(), bad.Set()
	var unanswered perdure.UnansweredError
	var unreadable perdure.UnreadableError
	for _, id := range ids[:fit] {
		if unansweredSet[id] {
			unanswered.Add(id, open.Err)
		}
		if unreadableSet[id] {
			unreadable.Add(id, bad.Err)
		}
	}
	return &perdurev1.LoadResponse{Records: packRecords(records[:fit]), Failure: pass(unanswered.With(&unreadable, 0))}, nil
}

// fitting is how many of the records fit into a message: one at least.
func fitting(records []perdure.Record) (n int) {
	size := 0
	for n < len(records) && (n == 0 || size < fullMessage) {
		size += records[n].EncodedSize()
		n++
	}
	return n
}

// page gets a page that fits into a message, a smaller one where it must.
func page(limit int32, get func(limit int) (perdure.Page, error)) (*perdurev1.PageResponse, error) {
	for n := most(limit); ; {
		p, err := get(n)
		fit := fitting(p.Records)
		if err != nil || fit == len(p.Records) || n <= 1 {
			return packPage(&p, err), nil
		}
		n = max(1, min(n/2, fit))
	}
}

func (s service) Apply(ctx context.Context, q *perdurev1.ApplyRequest) (*perdurev1.ApplyResponse, error) {
	if f := tooMany(len(q.GetBatches())); f != nil {
		return &perdurev1.ApplyResponse{Failure: f}, nil
	}
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
	return page(q.GetLimit(), func(limit int) (perdure.Page, error) {
		return s.backend.ListUser(ctx, user, string(q.GetAfter()), limit)
	})
}

func (s service) ListPartial(ctx context.Context, q *perdurev1.ListPartialRequest) (*perdurev1.PageResponse, error) {
	user := perdure.UserKey(q.GetUser())
	return page(q.GetLimit(), func(limit int) (perdure.Page, error) {
		return perdure.ListPartial(ctx, s.backend, user, string(q.GetAfter()), limit)
	})
}

// removedAtOnce bounds the sessions that one call ends, and so those in its reply,
// however large they are.
const removedAtOnce = 4

func (s service) RemoveUser(ctx context.Context, q *perdurev1.RemoveUserRequest) (*perdurev1.RemoveUserResponse, error) {
	epoch, err := unpackRecord(q.GetEpoch())
	if err != nil {
		return &perdurev1.RemoveUserResponse{Failure: pass(err)}, nil
	}
	removed, err := s.backend.RemoveUser(ctx, perdure.UserRemoval{
		Epoch: epoch, Base: unpackVersion(q.GetBase()), Except: textsOf(q.GetExcept()), Reason: perdure.Reason(min(q.GetReason(), 0xff)),
		Limit: int(min(q.GetLimit(), removedAtOnce)), After: string(q.GetAfter()),
	})
	return &perdurev1.RemoveUserResponse{
		Outcome: uint32(removed.Outcome), Stored: packRecord(&removed.Stored), Removed: packRecords(removed.Removed),
		Unreadable: bytesOf(removed.Unreadable), Next: []byte(removed.Next), Failure: pass(err),
	}, nil
}

func (s service) Scan(ctx context.Context, q *perdurev1.ScanRequest) (*perdurev1.PageResponse, error) {
	return page(q.GetLimit(), func(limit int) (perdure.Page, error) {
		return s.backend.Scan(ctx, perdure.ScanQuery{
			After: string(q.GetAfter()), Limit: limit, From: int(q.GetFrom()), To: int(q.GetTo()), Dead: q.GetDead(),
		})
	})
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
	encoded, err := json.Marshal(stats)
	return &perdurev1.StatsResponse{Stats: encoded, Failure: pass(err)}, nil
}

func (s service) Ping(ctx context.Context, _ *perdurev1.PingRequest) (*perdurev1.PingResponse, error) {
	return &perdurev1.PingResponse{Failure: pass(s.backend.Ping(ctx))}, nil
}

func (s service) Inspect(ctx context.Context, _ *perdurev1.InspectRequest) (*perdurev1.InspectResponse, error) {
	findings, err := perdure.Inspect(ctx, s.backend)
	r := &perdurev1.InspectResponse{Failure: pass(err)}
	for _, f := range findings {
		r.Findings = append(r.Findings, &perdurev1.InspectResponse_Finding{
			Severity: uint32(f.Severity), Name: text(f.Name), Found: text(f.Found), Advice: text(f.Advice),
		})
	}
	return r, nil
}
