package failover_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
)

// damages are the ways in which a page of a journal is spoilt.
var damages = map[string]func(page []byte){
	"zeroes":  func(page []byte) { clear(page) },
	"flipped": flip,
}

func flip(b []byte) {
	for i := range b {
		b[i] ^= 0xFF
	}
}

// TestADamagedPageOfAJournal stops no start, whichever it is: what is intact is merged,
// and the folder is kept.
func TestADamagedPageOfAJournal(t *testing.T) {
	dir := t.TempDir()
	n := newNode(t, newShared(t), failover.Options{Dir: dir})
	out := n.create(t, "u")
	n.cut.Store(true)
	var minted []string
	for range 200 {
		minted = append(minted, n.create(t, fmt.Sprint("user ", len(minted)%20)))
	}
	if ok, err := n.Delete(t.Context(), out); !ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := n.Store.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "1", "perdure.db"))
	if err != nil {
		t.Fatal(err)
	}
	size, starts, kept := os.Getpagesize(), 0, 0
	for name, damage := range damages {
		for at := 0; at+size <= len(whole); at += size {
			bad := slices.Clone(whole)
			damage(bad[at : at+size])
			starts++
			kept += startOnDamaged(t, fmt.Sprintf("%s, page %d", name, at/size), bad, minted)
		}
	}
	t.Logf("%d starts, %d folders kept aside", starts, kept)
	if starts < 42 || kept < 20 {
		t.Errorf("only %d starts on damaged journals, and %d folders kept", starts, kept)
	}
}

func startOnDamaged(t *testing.T, what string, journal []byte, minted []string) (kept int) {
	t.Helper()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "1"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "1", "perdure.db"), journal, 0o600); err != nil {
		t.Fatal(err)
	}
	shared := newShared(t)
	b, err := failover.Open(t.Context(), failover.Options{
		Dir: dir, Open: func(context.Context) (perdure.Backend, error) { return cable{shared, &atomic.Bool{}}, nil },
	})
	if err != nil {
		t.Errorf("%s: %v", what, err)
		return 0
	}
	defer b.Close()
	n := &node{failover: b}
	n.await(t, failover.Healthy)
	found := 0
	for _, id := range minted {
		if r, err := shared.Get(t.Context(), id); err == nil && r.Kind == perdure.KindSession {
			found++
		}
	}
	if most := os.Getpagesize() / 100; found < len(minted)-most {
		t.Errorf("%s: %d of %d are merged", what, found, len(minted))
	}
	aside, err := filepath.Glob(filepath.Join(dir, "1.damaged-*", "perdure.db"))
	if err != nil {
		t.Fatal(err)
	}
	if found < len(minted) && len(aside) == 0 {
		t.Errorf("%s: %d are lost and nothing says so", what, len(minted)-found)
	}
	if len(aside) > 0 {
		n.awaitHealth(t, func(h failover.Health) bool {
			return len(h.Kept) == 1 && strings.Contains(h.Kept[0].Why, "damaged journal: ") && filepath.Dir(aside[0]) == h.Kept[0].Dir
		})
		raw, err := os.ReadFile(aside[0])
		if err != nil || !slices.Equal(raw, journal) {
			t.Errorf("%s: what is kept is not what was there: %v", what, err)
		}
	}
	return len(aside)
}
