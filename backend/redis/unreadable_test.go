package redis

import (
	"errors"
	"slices"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
)

// TestOneByteHoldsUpNothing: a list and a revocation name the record of the user,
// wherever it lies, and do the rest.
func TestOneByteHoldsUpNothing(t *testing.T) {
	t.Run("server", func(t *testing.T) {
		server := redistest.Start(t, redistest.Options{})
		oneByte(t, Options{URL: server.URL()}, []*redistest.Server{server})
	})
	t.Run("cluster", func(t *testing.T) {
		cluster := redistest.StartCluster(t, redistest.ClusterOptions{})
		oneByte(t, Options{URL: cluster.URL()}, cluster.Nodes())
	})
}

func oneByte(t *testing.T, o Options, servers []*redistest.Server) {
	b := open(t, o)
	var lost, left []string
	values := map[string]string{}
	for i, id := range []string{"", "abcdefghijklmnop-0", "", "abcdefghijklmnop-1", "", "abcdefghijklmnop-2"} {
		r := session("u")
		if id != "" {
			r.ID = id
		}
		if err := put(t.Context(), b, r); err != nil {
			t.Fatal(err)
		}
		if i >= 4 {
			left = append(left, r.ID)
			continue
		}
		value := []byte(string(r.Append(nil)))
		value[i%2] ^= 0x80 // the format, or the kind
		values[r.ID] = string(value)
		overwrite(t, b.keys.record(r.ID), values[r.ID], servers)
		lost = append(lost, r.ID)
	}
	b.near.clear()
	user := perdure.HashUser("u")
	slices.Sort(lost)
	slices.Sort(left)

	page, err := b.ListUser(t.Context(), user, "", 100)
	if err != nil || !slices.Equal(sorted(page.Unreadable), lost) || !slices.Equal(sorted(idsOf(page.Records)), left) {
		t.Errorf("a list: %v, %v, %v", page.Unreadable, idsOf(page.Records), err)
	}
	removed, err := b.RemoveUser(t.Context(), perdure.UserRemoval{Epoch: epochNow(user), Reason: perdure.ReasonRevoked, Limit: 100})
	if err != nil || !slices.Equal(sorted(removed.Unreadable), lost) || !slices.Equal(sorted(idsOf(removed.Removed)), left) {
		t.Errorf("a revocation: %v, %v, %v", removed.Unreadable, idsOf(removed.Removed), err)
	}
	if page, err = b.ListUser(t.Context(), user, "", 100); err != nil || !slices.Equal(sorted(page.Unreadable), lost) || len(page.Records) > 0 {
		t.Errorf("a list after it: %v, %v, %v", page.Unreadable, idsOf(page.Records), err)
	}
	for id, value := range values {
		if got := stored(t, b.keys.record(id), servers); got != value {
			t.Errorf("%s was changed to %q", id, got)
		}
	}
}

func epochNow(user perdure.UserKey) perdure.Record {
	v := perdure.NewClock(nil).Tick()
	at := now() + 3600_000
	return perdure.Record{ID: perdure.EpochID(user), Header: perdure.Header{
		Kind: perdure.KindEpoch, Version: v, Born: v, User: user, Expiry: at, Horizon: at, LastAccess: now(),
	}}
}

func sorted(ids []string) []string {
	slices.Sort(ids)
	return ids
}

// stored is what a key holds, on whichever server has it.
func stored(t *testing.T, key string, servers []*redistest.Server) string {
	t.Helper()
	var failed []error
	for _, s := range servers {
		value, err := s.Do("GET", key)
		if text, ok := value.(string); ok && err == nil {
			return text
		}
		failed = append(failed, err)
	}
	t.Fatal(errors.Join(failed...))
	return ""
}
