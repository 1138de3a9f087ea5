package redis

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
)

// TestPagesAreBoundedInBytes: a server that ends the connection of whoever asks for
// too much at a time never does so, and nothing is missing.
func TestPagesAreBoundedInBytes(t *testing.T) {
	const sessions, size = 300, 100_000
	server := redistest.Start(t, redistest.Options{Config: []string{"client-output-buffer-limit normal 16mb 0 0"}})
	b := open(t, Options{URL: server.URL(), NearCacheBytes: -1, Timeout: 20 * time.Second})
	var ids []string
	body := strings.Repeat("x", size)
	for range sessions {
		r := session("u")
		r.Body = body
		if err := put(t.Context(), b, r); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, r.ID)
	}
	all := func(what string, next func(after string) (perdure.Page, error)) {
		t.Helper()
		seen := map[string]bool{}
		for after := ""; ; {
			page, err := next(after)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			bytes := 0
			for i := range page.Records {
				bytes += page.Records[i].EncodedSize()
				if id := page.Records[i].ID; seen[id] {
					t.Errorf("%s has %s twice", what, id)
				}
				seen[page.Records[i].ID] = true
			}
			if bytes > perdure.MaxPageBytes {
				t.Errorf("%s: a page of %d bytes", what, bytes)
			}
			if after = page.Next; after == "" {
				break
			}
		}
		if len(seen) != sessions {
			t.Errorf("%s has %d sessions of %d", what, len(seen), sessions)
		}
	}
	user := perdure.HashUser("u")
	all("a list", func(after string) (perdure.Page, error) { return b.ListUser(t.Context(), user, after, 5000) })
	all("a scan", func(after string) (perdure.Page, error) {
		return b.Scan(t.Context(), perdure.ScanQuery{After: after, Limit: 5000, Dead: true})
	})
	if records, err := b.Load(t.Context(), ids); err != nil || len(records) != sessions || !records[sessions-1].Exists() {
		t.Errorf("a load of many: %d, %v", len(records), err)
	}
	var lists sync.WaitGroup
	for range 50 { // which share a load
		lists.Go(func() {
			if page, err := b.ListUser(t.Context(), user, "", 5000); err != nil || len(page.Records) == 0 || page.Next == "" {
				t.Errorf("a list beside others: %d, %v", len(page.Records), err)
			}
		})
	}
	lists.Wait()
	r := removal(user)
	r.Limit = 5000
	removed := 0
	for more := true; more; {
		answer, err := b.RemoveUser(t.Context(), r)
		if err != nil {
			t.Fatal("a revocation:", err)
		}
		removed += len(answer.Removed)
		more = answer.Next != ""
		r.After, r.Base = answer.Next, r.Epoch.Version
	}
	if removed != sessions {
		t.Errorf("%d sessions of %d were ended", removed, sessions)
	}
}

// TestAScanOfManyPartitionsIsBounded, where each of them has little.
func TestAScanOfManyPartitionsIsBounded(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	b := open(t, Options{URL: server.URL()})
	const sessions = 150
	for i := range sessions {
		r := session(fmt.Sprint("u", i))
		r.Body = strings.Repeat("x", 200_000)
		if err := put(t.Context(), b, r); err != nil {
			t.Fatal(err)
		}
	}
	n, pages := 0, 0
	for after := ""; ; pages++ {
		page, err := b.Scan(t.Context(), perdure.ScanQuery{After: after, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		bytes := 0
		for i := range page.Records {
			bytes += page.Records[i].EncodedSize()
		}
		if bytes > perdure.MaxPageBytes {
			t.Errorf("a page of %d bytes", bytes)
		}
		n += len(page.Records)
		if after = page.Next; after == "" {
			break
		}
	}
	if n != sessions || pages < 7 {
		t.Errorf("%d sessions on %d pages", n, pages)
	}
}
