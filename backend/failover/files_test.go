package failover

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
)

// Whatever a sign of life holds, it is refused or from a time that there is.
func FuzzSign(f *testing.F) {
	dir := f.TempDir()
	if err := writeSign(dir, lifeSign{At: 1_800_000_000_000, Cut: true, Synced: 1}); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, signFile))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)/2])
	f.Add([]byte(`{"at":-1,"cut":true}`))
	f.Add([]byte(`{"at":1e30,"cut":true}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		s, err := decodeSign(content)
		switch {
		case err != nil && (s != lifeSign{} && s.At >= 0 && s.At <= perdure.MaxMillis || !errors.Is(err, perdure.ErrFormat)):
			t.Errorf("%+v, %v", s, err)
		case err == nil && (s.At < 0 || s.At > perdure.MaxMillis):
			t.Errorf("%+v", s)
		}
		if s.recent(s.At-1, time.Hour) || s.recent(s.At+1+perdure.Millis(time.Hour.Milliseconds()), time.Hour) {
			t.Errorf("%+v is recent before its time, or for ever", s)
		}
	})
}

// A list of stale sessions is read to its end or not at all.
func FuzzStale(f *testing.F) {
	dir := f.TempDir()
	ids := []string{perdure.NewID(1), perdure.NewOutageID(2, time.Now()), perdure.NewID(3)}
	if err := writeStale(dir, ids); err != nil {
		f.Fatal(err)
	}
	if listed, err := readStale(dir); err != nil || len(listed) != 3 || !listed[ids[0]] {
		f.Fatal(listed, err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, staleFile))
	if err != nil {
		f.Fatal(err)
	}
	for cut := range len(whole) - 2 {
		if listed, err := decodeStale(strings.NewReader(string(whole[:cut]))); !errors.Is(err, perdure.ErrFormat) {
			f.Fatalf("cut to %d bytes: %v, %v", cut, listed, err)
		}
	}
	f.Add(string(whole))
	f.Add("\n.\n")
	f.Add(strings.Repeat("x", 1000))
	f.Fuzz(func(t *testing.T, content string) {
		listed, err := decodeStale(strings.NewReader(content))
		for id := range listed {
			if err != nil || perdure.CheckID(id) != nil {
				t.Errorf("%q, %v", id, err)
			}
		}
	})
}
