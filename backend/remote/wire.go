package remote

import (
	"math"

	"github.com/perdure/perdure"
	perdurev1 "github.com/perdure/perdure/proto/perdure/v1"
)

func bytesOf(texts []string) [][]byte {
	all := make([][]byte, len(texts))
	for i, text := range texts {
		all[i] = []byte(text)
	}
	return all
}

func textsOf(all [][]byte) []string {
	if len(all) == 0 {
		return nil
	}
	texts := make([]string, len(all))
	for i, b := range all {
		texts[i] = string(b)
	}
	return texts
}

// packRecord is a record as it travels; one that is not there is empty.
func packRecord(r *perdure.Record) *perdurev1.StoredRecord {
	if !r.Exists() {
		return &perdurev1.StoredRecord{}
	}
	return &perdurev1.StoredRecord{Id: []byte(r.ID), Value: r.Append(make([]byte, 0, r.EncodedSize()))}
}

// packPartial is what a write says of a record, which need not be one itself.
func packPartial(r perdure.Record) *perdurev1.StoredRecord {
	partial := r.Kind == 0
	if partial {
		r.Kind = perdure.KindSession
	}
	packed := packRecord(&r)
	packed.Partial = partial
	return packed
}

// unpackRecord returns an ErrFormat for what cannot be read.
func unpackRecord(s *perdurev1.StoredRecord) (perdure.Record, error) {
	if len(s.GetValue()) == 0 {
		return perdure.Record{}, nil
	}
	r, err := perdure.DecodeRecord(string(s.GetId()), string(s.GetValue()))
	if s.GetPartial() {
		r.Kind = 0
	}
	return r, err
}

func packRecords(records []perdure.Record) []*perdurev1.StoredRecord {
	packed := make([]*perdurev1.StoredRecord, len(records))
	for i := range records {
		packed[i] = packRecord(&records[i])
	}
	return packed
}

func unpackRecords(packed []*perdurev1.StoredRecord) ([]perdure.Record, error) {
	records := make([]perdure.Record, len(packed))
	for i := range packed {
		var err error
		if records[i], err = unpackRecord(packed[i]); err != nil {
			return nil, err
		}
	}
	return records, nil
}

func packVersion(v perdure.Version) *perdurev1.RecordVersion {
	if v.IsZero() {
		return nil
	}
	return &perdurev1.RecordVersion{Time: v.Time, Node: v.Node}
}

func unpackVersion(v *perdurev1.RecordVersion) perdure.Version {
	return perdure.Version{Time: v.GetTime(), Node: v.GetNode()}
}

// packBatch carries of each write what its operation reads.
func packBatch(batch perdure.Batch) *perdurev1.ApplyRequest_Batch {
	packed := &perdurev1.ApplyRequest_Batch{Writes: make([]*perdurev1.ApplyRequest_Write, len(batch))}
	for i := range batch {
		w := &batch[i]
		r := w.Record
		if w.Op != perdure.OpPut && !w.Plant {
			access := min(max(r.LastAccess, 0), perdure.MaxMillis)
			r = perdure.Record{ID: r.ID, Header: perdure.Header{Version: r.Version, Reason: r.Reason, LastAccess: access}}
		}
		packed.Writes[i] = &perdurev1.ApplyRequest_Write{
			Op: uint32(w.Op), Record: packPartial(r), Base: packVersion(w.Base), Epoch: packVersion(w.Epoch),
			Plant: w.Plant, Chosen: w.Chosen, Exact: w.Exact, Reason: uint32(w.Reason),
		}
	}
	return packed
}

// unpackBatch leaves it to the backend to refuse what it does not allow.
func unpackBatch(packed *perdurev1.ApplyRequest_Batch) (perdure.Batch, error) {
	batch := make(perdure.Batch, len(packed.GetWrites()))
	for i, w := range packed.GetWrites() {
		r, err := unpackRecord(w.GetRecord())
		if err != nil {
			return nil, err
		}
		batch[i] = perdure.Write{
			Op: perdure.Op(min(w.GetOp(), 0xff)), Record: r, Base: unpackVersion(w.GetBase()), Epoch: unpackVersion(w.GetEpoch()),
			Plant: w.GetPlant(), Chosen: w.GetChosen(), Exact: w.GetExact(), Reason: perdure.Reason(min(w.GetReason(), 0xff)),
		}
	}
	return batch, nil
}

func packPage(p *perdure.Page, err error) *perdurev1.PageResponse {
	return &perdurev1.PageResponse{
		Records: packRecords(p.Records), Unreadable: bytesOf(p.Unreadable), Next: []byte(p.Next), Incomplete: p.Incomplete, Failure: pass(err),
	}
}

// unpackPage names those records that this release cannot read.
func unpackPage(packed *perdurev1.PageResponse) perdure.Page {
	page := perdure.Page{
		Records: make([]perdure.Record, 0, len(packed.GetRecords())), Unreadable: textsOf(packed.GetUnreadable()),
		Next: string(packed.GetNext()), Incomplete: packed.GetIncomplete(),
	}
	for _, s := range packed.GetRecords() {
		if r, err := unpackRecord(s); err == nil {
			page.Records = append(page.Records, r)
		} else {
			page.Unreadable = append(page.Unreadable, string(s.GetId()))
		}
	}
	return page
}

// clamp makes a number fit: what is out of bounds stays so.
func clamp(n int) int32 { return int32(min(max(n, math.MinInt32), math.MaxInt32)) }
