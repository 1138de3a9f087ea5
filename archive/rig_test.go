package archive_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/archive"
	"github.com/perdure/perdure/backend/local"
	"github.com/perdure/perdure/backend/redis"
)

// open makes a Store over the backend, and closes both with the test.
func open(t testing.TB, backend perdure.Backend, err error) *perdure.Store {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	store, err := perdure.New(backend, perdure.Options{SweepInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func inMemory(t testing.TB) *perdure.Store {
	t.Helper()
	backend, err := local.Open(local.Options{Timeout: time.Minute})
	return open(t, backend, err)
}

func inFile(t testing.TB) *perdure.Store {
	t.Helper()
	backend, err := local.Open(local.Options{Dir: t.TempDir(), Timeout: time.Minute})
	return open(t, backend, err)
}

func onRedis(t testing.TB, url, prefix string) *perdure.Store {
	t.Helper()
	backend, err := redis.Open(t.Context(), redis.Options{URL: url, Prefix: prefix, Timeout: time.Minute})
	return open(t, backend, err)
}

func create(t testing.TB, s *perdure.Store, data perdure.Data) perdure.Session {
	t.Helper()
	session, err := s.Create(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	return session
}

// must stops the test at an error.
func must[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// populate gives the store one session of each fate, and n of an ordinary one.
func populate(t testing.TB, s *perdure.Store, n int) {
	t.Helper()
	ctx := t.Context()
	random := rand.New(rand.NewPCG(1, 2))
	for i := range n {
		noise := make([]byte, 200)
		for i := range noise {
			noise[i] = "abcdefghijklmnopqrstuvwxyz0123456789"[random.IntN(36)]
		}
		create(t, s, perdure.Data{UserID: fmt.Sprintf("user:%d", i%7), Username: "<b>&\u2028ü", Roles: []string{"a", "b"}, Metadata: map[string]any{"noise": string(noise), "n": i}})
	}
	create(t, s, perdure.Data{ID: "123e4567-e89b-12d3-a456-426614174000", UserID: "foreign"})
	changed := create(t, s, perdure.Data{UserID: "changed", Metadata: map[string]any{"a": 1, "gone": 2}})
	name := "changed"
	must[perdure.Session](t)(s.Update(ctx, changed.ID, perdure.Patch{Username: &name, Metadata: map[string]any{"gone": nil, "new": "x"}}))
	must[bool](t)(s.Touch(ctx, changed.ID))
	must[perdure.Session](t)(s.Rotate(ctx, create(t, s, perdure.Data{UserID: "rotated"}).ID, time.Hour))
	must[bool](t)(s.Delete(ctx, create(t, s, perdure.Data{UserID: "logged out"}).ID))
	spared := create(t, s, perdure.Data{UserID: "revoked"})
	create(t, s, perdure.Data{UserID: "revoked"})
	must[int](t)(s.RevokeUser(ctx, "revoked", spared.ID))
}

// records are all that the store holds, in the order of their ids.
func records(t testing.TB, s *perdure.Store) []perdure.Record {
	t.Helper()
	var all []perdure.Record
	for q := (perdure.ScanQuery{Limit: 1000, Dead: true}); ; {
		page := must[perdure.Page](t)(s.Backend().Scan(t.Context(), q))
		all = append(all, page.Records...)
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	slices.SortFunc(all, func(a, b perdure.Record) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// same fails unless both stores hold the same records, byte for byte.
func same(t testing.TB, got, want *perdure.Store) {
	t.Helper()
	have, need := records(t, got), records(t, want)
	if len(have) != len(need) {
		t.Errorf("%d records, and not %d", len(have), len(need))
		return
	}
	for i := range have {
		if have[i] != need[i] {
			t.Errorf("record %d is\n%+v and not\n%+v", i, have[i], need[i])
			return
		}
	}
}

// save backs the store up.
func save(t testing.TB, s *perdure.Store, o archive.BackupOptions) []byte {
	t.Helper()
	var out bytes.Buffer
	summary, err := archive.Backup(t.Context(), s.Backend(), &out, o)
	if err != nil {
		t.Fatal(err)
	}
	if summary.Bytes != int64(out.Len()) {
		t.Errorf("%d bytes were counted and %d written", summary.Bytes, out.Len())
	}
	return out.Bytes()
}

// read opens the file.
func read(t testing.TB, file []byte, o archive.OpenOptions) *archive.File {
	t.Helper()
	return must[*archive.File](t)(archive.Open(bytes.NewReader(file), o))
}

func into(s *perdure.Store) *perdure.Merger {
	return &perdure.Merger{Backend: s.Backend(), Clock: perdure.NewClock(nil)}
}

// restore brings the file back, or stops the test.
func restore(t testing.TB, file []byte, s *perdure.Store, o archive.RestoreOptions) archive.Restored {
	t.Helper()
	return must[archive.Restored](t)(read(t, file, archive.OpenOptions{}).Restore(t.Context(), into(s), o))
}

// attempt opens the file and restores it, whatever it is.
func attempt(t testing.TB, file []byte, s *perdure.Store, o archive.OpenOptions) (archive.Restored, error) {
	f, err := archive.Open(bytes.NewReader(file), o)
	if err != nil {
		return archive.Restored{}, err
	}
	return f.Restore(t.Context(), into(s), archive.RestoreOptions{})
}

// key is a new key.
func key(t testing.TB) *age.X25519Identity {
	t.Helper()
	return must[*age.X25519Identity](t)(age.GenerateX25519Identity())
}
