package remote

import (
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
)

// FuzzApply: whatever a caller sends, each batch has its result or the whole call a
// failure, and what is stored can be read again.
func FuzzApply(f *testing.F) {
	v, user := perdure.NewClock(nil).Tick(), perdure.HashUser("ada")
	session := perdure.Record{ID: perdure.NewID(user.Partition()), Body: "body", Header: perdure.Header{
		Kind: perdure.KindSession, Version: v, Born: v, User: user, Expiry: v.Millis() + 1e6, Horizon: v.Millis() + 1e7,
	}}
	for _, batch := range []perdure.Batch{
		{},
		{{Op: perdure.OpPut, Record: session}},
		{{Op: perdure.OpTouch, Record: perdure.Record{ID: session.ID}}},
		{{Op: perdure.OpRemove, Record: session, Plant: true, Reason: perdure.ReasonLogout}},
		{{Op: perdure.OpPut, Record: session, Base: v, Epoch: v, Chosen: true, Exact: true}, {Op: perdure.OpPut, Record: session}},
	} {
		seed, err := proto.Marshal(&perdurev1.ApplyRequest{Batches: []*perdurev1.ApplyRequest_Batch{packBatch(batch), packBatch(batch)}})
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		var q perdurev1.ApplyRequest
		if proto.Unmarshal(message, &q) != nil {
			return
		}
		b, err := local.Open(local.Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		r, err := service{b}.Apply(t.Context(), &q)
		if err != nil || r.GetFailure() == nil && len(r.GetResults()) != len(q.GetBatches()) {
			t.Fatalf("%d results of %d batches, %v", len(r.GetResults()), len(q.GetBatches()), err)
		}
		p, err := service{b}.Scan(t.Context(), &perdurev1.ScanRequest{Limit: 100, Dead: true})
		if err != nil || p.GetFailure() != nil {
			t.Fatal(err, p.GetFailure())
		}
		if page := unpackPage(p); len(page.Unreadable) > 0 {
			t.Fatalf("cannot be read: %q", page.Unreadable)
		}
	})
}

// FuzzPage: whatever a daemon answers is a page or an error.
func FuzzPage(f *testing.F) {
	f.Add([]byte{})
	seed, _ := proto.Marshal(&perdurev1.PageResponse{
		Records: []*perdurev1.StoredRecord{{Id: []byte("id"), Value: []byte("\x01\x01")}, {}}, Failure: &perdurev1.Failure{Kind: "format", Unreadable: [][]byte{nil}},
	})
	f.Add(seed)
	f.Fuzz(func(t *testing.T, message []byte) {
		var r perdurev1.PageResponse
		if proto.Unmarshal(message, &r) != nil {
			return
		}
		if page := unpackPage(&r); len(page.Records)+len(page.Unreadable) != len(r.GetRecords())+len(r.GetUnreadable()) {
			t.Fatalf("%d records and %d that cannot be read, of %d and %d", len(page.Records), len(page.Unreadable), len(r.GetRecords()), len(r.GetUnreadable()))
		}
		if err := received(r.GetFailure()); (err == nil) != (r.GetFailure() == nil) || err != nil && pass(err) == nil {
			t.Fatal(err)
		}
	})
}
