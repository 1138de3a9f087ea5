package local

import (
	"testing"
	"time"

	"github.com/perdure/perdure"
)

// TestReplace: a version and a last access go back, in memory and in the file; what
// was changed meanwhile stays as it is; nothing is announced.
func TestReplace(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "file": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			b, err := Open(Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			clock := perdure.NewClock(nil)
			session := func() perdure.Record {
				v, user := clock.Tick(), perdure.HashUser("u")
				at := v.Millis() + perdure.Millis(time.Hour.Milliseconds())
				return perdure.Record{ID: perdure.NewID(user.Partition()), Body: "body", Header: perdure.Header{
					Kind: perdure.KindSession, Version: v, Born: v, User: user, Expiry: at, Horizon: at, LastAccess: v.Millis(),
				}}
			}
			put := func(r perdure.Record, base perdure.Version) {
				t.Helper()
				if outcome, err := b.ApplyOne(t.Context(), perdure.Batch{{Op: perdure.OpPut, Record: r, Base: base}}); outcome != perdure.Applied || err != nil {
					t.Fatal(outcome, err)
				}
			}
			wrong, changed := session(), session()
			put(wrong, perdure.Version{})
			put(changed, perdure.Version{})
			newer := changed
			newer.Version = clock.Tick(changed.Version)
			put(newer, changed.Version)
			batch, err := b.Changes(t.Context(), perdure.FromNow, 10, 0)
			if err != nil {
				t.Fatal(err)
			}
			right := wrong
			right.Version.Time -= 1 << 30
			right.Born, right.LastAccess = right.Version, right.Version.Millis()
			if err := b.Replace(t.Context(), []Replacement{{wrong, right}, {changed, right}, {session(), right}}); err != nil {
				t.Fatal(err)
			}
			if dir != "" {
				if err := b.Close(); err != nil {
					t.Fatal(err)
				}
				if b, err = Open(Options{Dir: dir}); err != nil {
					t.Fatal(err)
				}
			} else if batch, err = b.Changes(t.Context(), batch.Next, 10, 0); err != nil || len(batch.Changes) > 0 {
				t.Errorf("announced %v, %v", batch.Changes, err)
			}
			defer b.Close()
			for id, want := range map[string]perdure.Record{wrong.ID: right, changed.ID: newer} {
				if got, err := b.Get(t.Context(), id); err != nil || got != want {
					t.Errorf("got %v, %v\nwant %v", got, err, want)
				}
			}
			stats, err := b.Stats(t.Context())
			if err != nil || stats.Sessions != 2 {
				t.Errorf("%+v, %v", stats, err)
			}
		})
	}
}
