package remote

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"github.com/perdure/perdure"
	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
	"github.com/perdure/perdure/proto/perdure/v1/perdurev1connect"
)

// Options say where the daemon is.
type Options struct {
	// URL is the admin port of the daemon: http://host:port or https://host:port.
	URL string
	// Timeout bounds a call whose context has no deadline. Defaults to one second.
	Timeout time.Duration
}

// Backend implements perdure.Backend and perdure.Inspector. It is safe for concurrent
// use. Make one with Open.
type Backend struct {
	where     string
	timeout   time.Duration
	client    perdurev1connect.BackendServiceClient
	transport *http.Transport

	life context.Context // ends with Close
	end  context.CancelFunc
}

var (
	_ perdure.Backend   = (*Backend)(nil)
	_ perdure.Inspector = (*Backend)(nil)

	_ perdure.PartialLister = (*Backend)(nil)
)

// Open makes sure that the daemon answers. It returns a perdure.ErrInvalid for a URL
// that is none of a daemon, and a perdure.ErrUnavailable that says what to do where
// nobody answers, or who answers is not its admin port.
func Open(ctx context.Context, o Options) (*Backend, error) {
	u, err := url.Parse(o.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" {
		return nil, &perdure.InvalidError{Field: "URL", Problem: "is not that of a daemon's admin port; allowed: http://host:port or https://host:port"}
	}
	if o.Timeout <= 0 {
		o.Timeout = time.Second
	}
	b := &Backend{where: u.Scheme + "://" + u.Host, timeout: o.Timeout, transport: http.DefaultTransport.(*http.Transport).Clone()}
	b.transport.MaxIdleConnsPerHost = idleConnections
	b.client = perdurev1connect.NewBackendServiceClient(&http.Client{Transport: b.transport}, b.where,
		connect.WithAcceptCompression("gzip", nil, nil), connect.WithReadMaxBytes(maxMessage))
	b.life, b.end = context.WithCancel(context.Background())
	if _, err := b.Stats(ctx); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

const (
	// What travels at once is bounded in bytes. A message may be larger by one
	// record, of which the largest has 16 MiB and some.
	fullMessage = 16 << 20
	maxMessage  = 96 << 20

	idleConnections = 8 // as many as the workers of a migration keep busy
)

// longestCall bounds a call however late the deadline of its context is.
const longestCall = time.Hour

// reply is what all replies have.
type reply interface{ GetFailure() *perdurev1.Failure }

// ask makes a call within a time, or that of the context where it has one. It
// returns the reply with the failure in it, too.
func ask[Q any, R reply](ctx context.Context, b *Backend, timeout time.Duration, method func(context.Context, *Q) (R, error), request *Q) (R, error) {
	var none R
	if b.life.Err() != nil {
		return none, perdure.ErrClosed
	}
	if _, set := ctx.Deadline(); set {
		timeout = longestCall
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer context.AfterFunc(b.life, cancel)()
	r, err := method(ctx, request)
	if err != nil {
		return none, b.lost(ctx, err)
	}
	return r, received(r.GetFailure())
}

// Get is Load of one.
func (b *Backend) Get(ctx context.Context, id string) (perdure.Record, error) {
	records, err := b.Load(ctx, []string{id})
	if bad, _ := perdure.AsUnreadable(err); bad != nil && bad.Err != nil {
		err = bad.Err
	}
	if err != nil {
		return perdure.Record{}, err
	}
	return records[0], nil
}

// atOnce bounds the ids, or the batches, that one call carries.
const atOnce = 500

// Load takes one call for each 500 records, or more where they are large.
func (b *Backend) Load(ctx context.Context, ids []string) ([]perdure.Record, error) {
	records := make([]perdure.Record, 0, len(ids))
	var open perdure.UnansweredError
	var bad perdure.UnreadableError
	asked := len(ids)
	for first := true; first || len(ids) > 0; first = false {
		some := ids[:min(len(ids), atOnce)]
		r, err := ask(ctx, b, b.timeout, b.client.Load, &perdurev1.LoadRequest{Ids: bytesOf(some)})
		unanswered, unreadable, err := perdure.AsUnanswered(err)
		if err != nil {
			return nil, err
		}
		found := r.GetRecords()
		if len(found) > len(some) || len(found) == 0 && len(some) > 0 {
			return nil, b.garbled()
		}
		ids = ids[len(found):]
		open.Join(unanswered)
		if unreadable != nil {
			for _, id := range unreadable.IDs {
				bad.Add(id, unreadable.Err)
			}
		}
		for i, packed := range found {
			record, err := unpackRecord(packed)
			if err != nil {
				bad.Add(some[i], err)
			}
			records = append(records, record)
		}
	}
	return records, open.With(&bad, asked)
}

// garbled is the error for a reply that does not fit its request.
func (b *Backend) garbled() error {
	return fmt.Errorf("%w: the daemon at %s gave an answer that does not fit", perdure.ErrUnavailable, b.where)
}

// Apply takes one call for each 500 batches, or more where they are large.
func (b *Backend) Apply(ctx context.Context, batches []perdure.Batch) ([]perdure.Result, error) {
	if b.life.Err() != nil {
		return nil, perdure.ErrClosed
	}
	if ctx.Err() != nil {
		return nil, b.lost(ctx, ctx.Err())
	}
	results := make([]perdure.Result, len(batches))
	var request perdurev1.ApplyRequest
	var at []int // which batches are in it
	size := 0
	for i, batch := range batches {
		// What could not be read again as it is must not travel.
		if results[i].Err = batch.Check(); results[i].Err != nil {
			continue
		}
		packed := packBatch(batch)
		request.Batches, at, size = append(request.Batches, packed), append(at, i), size+proto.Size(packed)
		if len(at) == atOnce || size >= fullMessage {
			if err := b.send(ctx, &request, at, results); err != nil {
				return nil, err
			}
			request.Batches, at, size = nil, at[:0], 0
		}
	}
	if len(at) == 0 {
		return results, nil
	}
	return results, b.send(ctx, &request, at, results)
}

// send carries out the batches of a request and fills in their results.
func (b *Backend) send(ctx context.Context, request *perdurev1.ApplyRequest, at []int, results []perdure.Result) error {
	r, err := ask(ctx, b, b.timeout, b.client.Apply, request)
	if err != nil {
		return err
	}
	if len(r.GetResults()) != len(at) {
		return b.garbled()
	}
	for n, packed := range r.GetResults() {
		result := perdure.Result{Outcome: perdure.Outcome(min(packed.GetOutcome(), 0xff)), Write: int(packed.GetWrite()), Err: received(packed.GetFailure())}
		writes := len(request.GetBatches()[n].GetWrites())
		if result.Err == nil && (result.Outcome < perdure.Applied || result.Outcome > perdure.Conflict || result.Write < 0 || result.Write >= writes) {
			return b.garbled()
		}
		if result.Stored, err = unpackRecord(packed.GetStored()); err != nil {
			result = perdure.Result{Err: err}
		}
		results[at[n]] = result
	}
	return nil
}

// ListUser returns a page of the user's sessions.
func (b *Backend) ListUser(ctx context.Context, user perdure.UserKey, after string, limit int) (perdure.Page, error) {
	r, err := ask(ctx, b, b.timeout, b.client.ListUser, &perdurev1.ListUserRequest{User: []byte(user), After: []byte(after), Limit: clamp(limit)})
	if err != nil {
		return perdure.Page{}, err
	}
	return unpackPage(r), nil
}

// ListPartial returns a page of what the daemon holds of the user's sessions, or of
// all.
func (b *Backend) ListPartial(ctx context.Context, user perdure.UserKey, after string, limit int) (perdure.Page, error) {
	r, err := ask(ctx, b, b.timeout, b.client.ListPartial, &perdurev1.ListPartialRequest{User: []byte(user), After: []byte(after), Limit: clamp(limit)})
	if err != nil {
		return perdure.Page{}, err
	}
	return unpackPage(r), nil
}

// RemoveUser ends a user's sessions.
func (b *Backend) RemoveUser(ctx context.Context, r perdure.UserRemoval) (removed perdure.UserRemoved, err error) {
	if err := r.Check(); err != nil {
		return removed, err
	}
	a, err := ask(ctx, b, b.timeout, b.client.RemoveUser, &perdurev1.RemoveUserRequest{
		Epoch: packRecord(&r.Epoch), Base: packVersion(r.Base), Except: bytesOf(r.Except), Reason: uint32(r.Reason),
		Limit: clamp(r.Limit), After: []byte(r.After),
	})
	if err != nil {
		return removed, err
	}
	removed = perdure.UserRemoved{Outcome: perdure.Outcome(a.GetOutcome()), Unreadable: textsOf(a.GetUnreadable()), Next: string(a.GetNext())}
	if removed.Stored, err = unpackRecord(a.GetStored()); err != nil {
		return perdure.UserRemoved{}, err
	}
	if removed.Removed, err = unpackRecords(a.GetRemoved()); err != nil {
		return perdure.UserRemoved{}, err
	}
	return removed, nil
}

// Scan returns a page of records.
func (b *Backend) Scan(ctx context.Context, q perdure.ScanQuery) (perdure.Page, error) {
	r, err := ask(ctx, b, b.timeout, b.client.Scan, &perdurev1.ScanRequest{
		After: []byte(q.After), Limit: clamp(q.Limit), From: clamp(q.From), To: clamp(q.To), Dead: q.Dead,
	})
	if err != nil {
		return perdure.Page{}, err
	}
	return unpackPage(r), nil
}

// Sweep drops what is due.
func (b *Backend) Sweep(ctx context.Context, now perdure.Millis, limit int) (expired int, more bool, err error) {
	r, err := ask(ctx, b, b.timeout, b.client.Sweep, &perdurev1.SweepRequest{Now: int64(now), Limit: clamp(limit)})
	return int(r.GetExpired()), r.GetMore(), err
}

// Changes reads the feed of the daemon's store.
func (b *Backend) Changes(ctx context.Context, after string, limit int, wait time.Duration) (batch perdure.ChangeBatch, err error) {
	wait = min(max(wait, 0), longestWait)
	r, err := ask(ctx, b, b.timeout+wait, b.client.Changes, &perdurev1.ChangesRequest{
		After: []byte(after), Limit: clamp(limit), WaitMs: (wait + time.Millisecond - 1).Milliseconds(),
	})
	if r == nil {
		return batch, err
	}
	batch.Next = string(r.GetNext())
	for _, packed := range r.GetChanges() {
		c, bad := perdure.DecodeChange(string(packed.GetChange()))
		if bad != nil {
			return perdure.ChangeBatch{}, bad
		}
		c.At = perdure.Millis(packed.GetAt())
		batch.Changes = append(batch.Changes, c)
	}
	return batch, err
}

// Stats counts what the daemon's store holds.
func (b *Backend) Stats(ctx context.Context) (stats perdure.Stats, err error) {
	r, err := ask(ctx, b, b.timeout, b.client.Stats, &perdurev1.StatsRequest{})
	if err != nil {
		return stats, err
	}
	if json.Unmarshal(r.GetStats(), &stats) != nil {
		err = b.garbled()
	}
	return stats, err
}

// Ping returns nil when the daemon's store can take a write now.
func (b *Backend) Ping(ctx context.Context) error {
	_, err := ask(ctx, b, b.timeout, b.client.Ping, &perdurev1.PingRequest{})
	return err
}

// Inspect is the capability report of the daemon's store.
func (b *Backend) Inspect(ctx context.Context) ([]perdure.Finding, error) {
	r, err := ask(ctx, b, b.timeout, b.client.Inspect, &perdurev1.InspectRequest{})
	if err != nil {
		return nil, err
	}
	var findings []perdure.Finding
	for _, f := range r.GetFindings() {
		findings = append(findings, perdure.Finding{
			Severity: perdure.Severity(f.GetSeverity()), Name: f.GetName(), Found: f.GetFound(), Advice: f.GetAdvice(),
		})
	}
	return findings, nil
}

// Close ends what is under way. The daemon goes on.
func (b *Backend) Close() error {
	b.end()
	b.transport.CloseIdleConnections()
	return nil
}
