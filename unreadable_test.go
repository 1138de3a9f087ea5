package perdure_test

import (
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
	"github.com/perdure/perdure/backend/redis"
	"github.com/perdure/perdure/internal/redistest"
)

// onRedis is a server and a backend on it, without a cache.
func onRedis(t *testing.T) (*redistest.Server, perdure.Backend) {
	t.Helper()
	server := redistest.Start(t, redistest.Options{})
	backend, err := redis.Open(t.Context(), redis.Options{URL: server.URL(), NearCacheBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { backend.Close() })
	return server, backend
}

// TestOneByteHidesNoOtherSession: of a store in which bytes of some sessions were
// overwritten, in the header or the body, the others are listed, read together and
// revoked, and those are named.
func TestOneByteHidesNoOtherSession(t *testing.T) {
	server, backend := onRedis(t)
	var log strings.Builder
	var seen onlooker
	s, err := perdure.New(backend, perdure.Options{SweepInterval: -1, Auditor: &seen, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	var ids []string
	for range 6 {
		session, err := s.Create(t.Context(), perdure.Data{UserID: "ada", Username: "a secret"})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, session.ID)
	}
	lost, left := ids[:3], ids[3:]
	server.Spoil(t, lost[0], redistest.SpoilFormat)
	server.Spoil(t, lost[1], 80) // the format of the body
	server.Spoil(t, lost[2], 86) // the username, which is not UTF-8 then

	for _, user := range []string{"", "ada"} {
		page, err := s.List(t.Context(), perdure.ListQuery{UserID: user})
		if err != nil || !same(idsOf(page.Sessions), left) || !same(page.Unreadable, lost) {
			t.Errorf("a list of %q: %v, %v, %v", user, idsOf(page.Sessions), page.Unreadable, err)
		}
	}
	sessions, err := s.GetByUserID(t.Context(), "ada")
	if err != nil || !same(idsOf(sessions), left) {
		t.Errorf("the user's sessions: %v, %v", idsOf(sessions), err)
	}
	for _, id := range lost {
		if !strings.Contains(log.String(), id) || strings.Contains(log.String(), "secret") {
			t.Errorf("the log is\n%s", log.String())
		}
	}
	absent := perdure.NewID(3)
	sessions, missing, err := s.GetMany(t.Context(), append([]string{absent}, ids...))
	bad, ok := errors.AsType[*perdure.UnreadableError](err)
	if !ok || !same(bad.IDs, lost) || !same(idsOf(sessions), left) || !same(missing, []string{absent}) {
		t.Errorf("many: %v, %v, %v", idsOf(sessions), missing, err)
	}
	if text := bad.Error(); !strings.Contains(text, lost[0]) || !strings.Contains(text, "later release") || strings.Contains(text, "secret") {
		t.Errorf("the error is %q", text)
	}
	if _, err := s.Get(t.Context(), lost[1]); !errors.Is(err, perdure.ErrFormat) {
		t.Errorf("one: %v", err)
	}
	// Those whose header can be read are ended with the others.
	n, err := s.RevokeUser(t.Context(), "ada")
	bad, ok = errors.AsType[*perdure.UnreadableError](err)
	last := seen.events[len(seen.events)-1]
	if !ok || n != 5 || !same(bad.IDs, lost[:1]) || last.Count != 5 || last.Err == nil {
		t.Errorf("a revocation ended %d: %v, and the audit says %+v", n, err, last)
	}
	if all, missing, err := s.GetMany(t.Context(), ids[1:]); err != nil || len(all) > 0 || len(missing) != 5 {
		t.Errorf("after it: %v, %v, %v", all, missing, err)
	}
}

// TestAnEpochEndsWhatCanBeRead: an epoch that arrives ends the sessions beside one
// that cannot be read, and says that it was not all. A preview says the same.
func TestAnEpochEndsWhatCanBeRead(t *testing.T) {
	memory, err := local.Open(local.Options{})
	if err != nil {
		t.Fatal(err)
	}
	from, err := perdure.New(memory, perdure.Options{SweepInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { from.Close() })
	get := func(id string) perdure.Record {
		r, err := memory.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	var sessions []perdure.Record
	for range 4 {
		session, err := from.Create(t.Context(), perdure.Data{UserID: "ada"})
		if err != nil {
			t.Fatal(err)
		}
		sessions = append(sessions, get(session.ID))
	}
	spared := sessions[3]
	if _, err := from.RevokeUser(t.Context(), "ada", spared.ID); err != nil {
		t.Fatal(err)
	}
	server, backend := onRedis(t)
	m := &perdure.Merger{Backend: backend, Clock: perdure.NewClock(nil)}
	for _, merged := range m.MergeAll(t.Context(), sessions) {
		if merged.Err != nil {
			t.Fatal(merged.Err)
		}
	}
	server.Spoil(t, sessions[0].ID, redistest.SpoilFormat)
	previewed, err := m.Preview(t.Context(), sessions)
	if err != nil || !errors.Is(previewed[0].Err, perdure.ErrFormat) {
		t.Fatalf("a preview: %+v, %v", previewed, err)
	}
	for _, p := range previewed[1:] {
		if p.Err != nil || p.Changed {
			t.Errorf("a preview beside it: %+v", p)
		}
	}
	server.Spoil(t, sessions[1].ID, 80) // whether it is the spared one is in the body
	_, err = m.Merge(t.Context(), get(perdure.EpochID(perdure.HashUser("ada"))))
	bad, ok := errors.AsType[*perdure.UnreadableError](err)
	if !ok || !same(bad.IDs, []string{sessions[0].ID, sessions[1].ID}) {
		t.Errorf("the epoch: %v", err)
	}
	for id, kind := range map[string]perdure.Kind{sessions[2].ID: perdure.KindTombstone, spared.ID: perdure.KindSession} {
		if got, err := backend.Get(t.Context(), id); err != nil || got.Kind != kind {
			t.Errorf("after it: %+v, %v", got, err)
		}
	}
}

func idsOf(sessions []perdure.Session) (ids []string) {
	for _, s := range sessions {
		ids = append(ids, s.ID)
	}
	return ids
}

// same compares as sets.
func same(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}
