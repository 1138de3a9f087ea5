package local_test

import (
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// What is accounted for is what the heap holds, to within a fifth.
func TestAccounting(t *testing.T) {
	const n = 20_000
	lonely := func() []perdure.Record {
		all := newSessions(n)
		for i := range all {
			all[i].User = perdure.UserKeyFrom([16]byte(randomBytes(16)))
			all[i].ID = perdure.NewID(all[i].User.Partition())
		}
		return all
	}
	dead := func() []perdure.Record {
		all := newSessions(n)
		for i := range all {
			all[i].Kind, all[i].Body = perdure.KindTombstone, ""
		}
		return all
	}
	dir := t.TempDir()
	file := local.Options{Dir: dir, Timeout: time.Minute}
	for _, c := range []struct {
		name    string
		options local.Options
		records func() []perdure.Record
	}{
		{"sessions, four a user", local.Options{}, func() []perdure.Record { return newSessions(n) }},
		{"sessions, one a user", local.Options{}, lonely},
		{"tombstones", local.Options{}, dead},
		{"sessions, to a file", file, func() []perdure.Record { return newSessions(n) }},
		{"sessions, from a file", file, func() []perdure.Record { return nil }},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.options.FeedLength = 1
			before := heap()
			b := open(t, c.options)
			fill(t, b, c.records())
			held := heap() - before
			stats, err := b.Stats(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d bytes a record, %d accounted for", held/n, stats.Bytes/n)
			if stats.Bytes < held*8/10 || stats.Bytes > held*12/10 {
				t.Errorf("the heap holds %d bytes, %d are accounted for", held, stats.Bytes)
			}
		})
	}
}

// heap is what is in use on it, once nothing is left in pools.
func heap() int64 {
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestInspectOfAFullStore: it refuses sessions now, which is worse than that it may.
func TestInspectOfAFullStore(t *testing.T) {
	b := open(t, local.Options{MaxBytes: 64 << 10})
	for {
		results, err := b.Apply(t.Context(), []perdure.Batch{put(newSessions(1)[0], perdure.Version{})})
		if err != nil {
			t.Fatal(err)
		}
		if errors.Is(results[0].Err, perdure.ErrFull) {
			break
		}
	}
	findings, err := b.Inspect(t.Context())
	if err != nil || findings[0].Name != "memory" || findings[0].Severity != perdure.SeverityError || !strings.Contains(findings[0].Advice, "PERDURE_MAX_MEMORY") {
		t.Errorf("%+v, %v", findings, err)
	}
}

// TestFullOfEnds: a store that the ends of sessions fill says so, and what helps.
func TestFullOfEnds(t *testing.T) {
	b := open(t, local.Options{MaxBytes: 64 << 10})
	var full error
	for full == nil {
		for _, s := range newSessions(20) {
			put := perdure.Batch{{Op: perdure.OpPut, Record: s}}
			end := perdure.Batch{{Op: perdure.OpRemove, Record: perdure.Record{ID: s.ID, Header: perdure.Header{Version: s.Version, Reason: perdure.ReasonLogout}}}}
			results, err := b.Apply(t.Context(), []perdure.Batch{put, end})
			if err != nil || results[1].Err != nil {
				t.Fatal(err, results[1].Err)
			}
			full = results[0].Err
		}
	}
	if !errors.Is(full, perdure.ErrFull) || !strings.Contains(full.Error(), "PERDURE_HORIZON") {
		t.Errorf("the error says %v", full)
	}
	findings, err := b.Inspect(t.Context())
	if err != nil || findings[0].Name != "memory" || !strings.Contains(findings[0].Found, "for 0 sessions and the ends of ") || !strings.Contains(findings[0].Advice, "PERDURE_HORIZON") {
		t.Errorf("%+v, %v", findings, err)
	}
}
