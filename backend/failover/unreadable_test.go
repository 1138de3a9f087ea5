package failover_test

import (
	"errors"
	"path/filepath"
	"slices"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/failover"
	"github.com/perdure/perdure/backend/redis"
	"github.com/perdure/perdure/internal/redistest"
)

// key is where a server holds the record.
func key(t *testing.T, server *redistest.Server, id string) string {
	t.Helper()
	keys, err := server.Do("KEYS", "*:s:"+id)
	if all, ok := keys.([]any); err == nil && ok && len(all) == 1 {
		return all[0].(string)
	}
	t.Fatalf("the keys of %s are %v, %v", id, keys, err)
	return ""
}

// TestRecoveryGoesOnBesideTheUnreadable: the front store has lost sessions and
// cannot read others. What can be given back is, what cannot is left and counted,
// and neither the recovery nor a mirror that begins anew waits for it.
func TestRecoveryGoesOnBesideTheUnreadable(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	front, err := redis.Open(t.Context(), redis.Options{URL: server.URL(), NearCacheBytes: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { front.Close() })
	n := newNode(t, front, failover.Options{Mirror: failover.MirrorFull})
	var ids []string
	for range 8 {
		ids = append(ids, n.create(t, "ada"))
	}
	if _, err := n.RevokeUser(t.Context(), "eve"); err != nil {
		t.Fatal(err)
	}
	barred := n.create(t, "eve")
	n.awaitWhole(t)
	spoilt := ids[:2]
	for _, id := range append([]string{perdure.EpochID(perdure.HashUser("eve"))}, spoilt...) {
		server.Spoil(t, id, redistest.SpoilFormat)
	}
	for _, id := range []string{ids[2], ids[3], barred} {
		if _, err := server.Do("DEL", key(t, server, id)); err != nil {
			t.Fatal(err)
		}
	}
	n.want(t, true, ids[2]) // and all else is compared
	n.awaitHealth(t, func(h failover.Health) bool {
		return h.State == failover.Healthy && h.Lost == 2 && h.Unreadable == 3 && h.Refused == 1
	})
	n.want(t, true, ids[2:]...)

	sessions, err := n.GetByUserID(t.Context(), "ada")
	if err != nil || len(sessions) != 6 {
		t.Errorf("the list has %d sessions, %v", len(sessions), err)
	}
	sessions, missing, err := n.GetMany(t.Context(), ids)
	bad, ok := errors.AsType[*perdure.UnreadableError](err)
	if !ok || !slices.Equal(bad.IDs, spoilt) || len(sessions) != 6 || len(missing) > 0 {
		t.Errorf("many: %d, %v, %v", len(sessions), missing, err)
	}

	fresh := newNode(t, front, failover.Options{Mirror: failover.MirrorFull})
	fresh.awaitHealth(t, func(h failover.Health) bool { return h.MirrorRecords == 6 && h.Unreadable == 3 })
	fresh.cut.Store(true)
	fresh.want(t, true, ids[2:]...)
}

// TestARecordOfTheJournalIsLost: the others are served in the outage and merged
// after it, and health counts the one.
func TestARecordOfTheJournalIsLost(t *testing.T) {
	shared, dir := newShared(t), t.TempDir()
	options := failover.Options{Dir: dir, Mirror: failover.MirrorFull}
	n := newNode(t, shared, options)
	n.cut.Store(true)
	var ids []string
	for range 6 {
		ids = append(ids, n.create(t, "ada"))
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(filepath.Join(dir, "1", "perdure.db"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte("records"))
		value := []byte(string(bucket.Get([]byte(ids[0]))))
		value[len(value)-1] ^= 1
		return bucket.Put([]byte(ids[0]), value)
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}

	options.RecoveryRate = 1 // so that there is time to be served in between
	again := startNode(t, shared, options)
	again.awaitHealth(t, func(h failover.Health) bool { return h.Replayed == 6 })
	results, err := again.failover.Apply(t.Context(), logouts(ids[0], ids[5]))
	if err != nil || results[1].Outcome != perdure.Applied {
		t.Errorf("logouts while it recovers: %+v, %v", results, err)
	}
	ids = ids[:5]
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}

	options.RecoveryRate = 0
	again = newNode(t, shared, options)
	again.want(t, true, ids[1:]...)
	if h := again.failover.Health(t.Context()); h.Unreadable != 1 || h.JournalDepth != 0 {
		t.Errorf("health: %+v", h)
	}
	again.cut.Store(true)
	next := again.create(t, "ada")
	sessions, _, err := again.GetMany(t.Context(), append(ids, next))
	bad, ok := errors.AsType[*perdure.UnreadableError](err)
	if !ok || !slices.Equal(bad.IDs, ids[:1]) || len(sessions) != 5 {
		t.Errorf("in an outage: %d, %v", len(sessions), err)
	}
	results, err = again.failover.Apply(t.Context(), logouts(ids[:2]...))
	if err != nil || !errors.Is(results[0].Err, perdure.ErrFormat) || results[1].Outcome != perdure.Applied {
		t.Errorf("logouts in an outage: %+v, %v", results, err)
	}
}

func logouts(ids ...string) (batches []perdure.Batch) {
	for _, id := range ids {
		tomb := perdure.Record{ID: id, Header: perdure.Header{Version: perdure.NewClock(nil).Tick(), Reason: perdure.ReasonLogout}}
		batches = append(batches, perdure.Batch{{Op: perdure.OpRemove, Record: tomb}})
	}
	return batches
}
