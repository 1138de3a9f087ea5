package perdure_test

import (
	"strconv"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// BenchmarkCreate and BenchmarkUpdate measure what a Store adds to its backend, by
// a session of some 400 bytes in memory.
func BenchmarkCreate(b *testing.B) {
	store := openBench(b)
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, err := store.Create(b.Context(), benchData(n)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkUpdate(b *testing.B) {
	store := openBench(b)
	session, err := store.Create(b.Context(), benchData(0))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, err := store.Update(b.Context(), session.ID, perdure.Patch{Metadata: map[string]any{"step": n}}); err != nil {
			b.Fatal(err)
		}
	}
}

func openBench(b *testing.B) *perdure.Store {
	backend, err := local.Open(local.Options{})
	if err != nil {
		b.Fatal(err)
	}
	store, err := perdure.New(backend, perdure.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { store.Close() })
	return store
}

var benchNote = strings.Repeat("The quick brown fox jumps over the lazy dog. ", 8)

func benchData(n int) perdure.Data {
	return perdure.Data{
		UserID: "user-" + strconv.Itoa(n/4), Username: "john_doe", Roles: []string{"user"},
		Metadata: map[string]any{"note": benchNote},
	}
}
