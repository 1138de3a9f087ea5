package migrate_test

import (
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/migrate"
)

// TestPairings moves sessions between any two kinds of store: what comes out is
// what went in, and what had ended stays ended.
func TestPairings(t *testing.T) {
	kinds := servers(t)
	for from, open := range kinds {
		source := open(t)
		sessions := seed(t, source, 120)
		for to, open := range kinds {
			t.Run(from+" to "+to, func(t *testing.T) {
				target := open(t)
				result := run(t, source, target, migrate.Options{Reading: migrate.Reading{BatchSize: 7}})
				if result.Total != int64(len(sessions.live)) || result.Migrated != result.Total || result.Failed+result.Skipped+result.Conflicts+result.Ended != 0 {
					t.Errorf("%d live sessions: %+v", len(sessions.live), result)
				}
				wantSame(t, source, target)
				store := storeOn(t, target, perdure.Options{})
				for _, id := range sessions.live {
					if _, err := store.Get(t.Context(), id); err != nil {
						t.Errorf("%s: %v", id, err)
					}
				}
				for _, id := range sessions.ended {
					if ok, err := store.Exists(t.Context(), id); ok || err != nil {
						t.Errorf("%s is there: %v", id, err)
					}
				}
				if report, err := verify(t, source, target, migrate.VerifyOptions{}); err != nil || report.Checked != result.Total || report.Reverse != result.Total {
					t.Errorf("%v: %+v", err, report)
				}
			})
		}
	}
}

// TestTwice: a second migration finds everything there, and brings what has
// changed.
func TestTwice(t *testing.T) {
	source, target := memory(t), memory(t)
	sessions := seed(t, source, 50)
	first := run(t, source, target, migrate.Options{})
	before := records(t, target)
	if again := run(t, source, target, migrate.Options{}); again.Migrated != first.Migrated || again.Conflicts != 0 {
		t.Errorf("again: %+v", again)
	}
	for i, r := range records(t, target) {
		if r != before[i] {
			t.Errorf("%+v has become %+v", before[i], r)
		}
	}
	store := storeOn(t, source, perdure.Options{})
	must[bool](t)(store.Delete(t.Context(), sessions.live[0]))
	must[perdure.Session](t)(store.Update(t.Context(), sessions.live[1], perdure.Patch{Roles: []string{"new"}}))
	if third := run(t, source, target, migrate.Options{}); third.Conflicts != 1 || third.Total != first.Total-1 {
		t.Errorf("a third time: %+v", third)
	}
	wantSame(t, source, target)
}

// TestLogoutInTheTarget: what was ended in the target stays ended, whatever the
// source says.
func TestLogoutInTheTarget(t *testing.T) {
	source, target := memory(t), memory(t)
	from, to := storeOn(t, source, perdure.Options{}), storeOn(t, target, perdure.Options{})
	one := must[perdure.Session](t)(from.Create(t.Context(), perdure.Data{UserID: "one"}))
	two := must[perdure.Session](t)(from.Create(t.Context(), perdure.Data{UserID: "two"}))
	run(t, source, target, migrate.Options{})
	must[bool](t)(to.Delete(t.Context(), one.ID))
	must[int](t)(to.RevokeUser(t.Context(), "two"))
	result := run(t, source, target, migrate.Options{})
	if result.Ended != 2 || result.Migrated != 0 || result.Total != 2 {
		t.Errorf("%+v", result)
	}
	for _, id := range []string{one.ID, two.ID} {
		if ok, err := to.Exists(t.Context(), id); ok || err != nil {
			t.Errorf("%s is there: %v", id, err)
		}
	}
}

// TestBothSidesChanged: what was changed on either side survives.
func TestBothSidesChanged(t *testing.T) {
	source, target := memory(t), memory(t)
	from, to := storeOn(t, source, perdure.Options{}), storeOn(t, target, perdure.Options{})
	s := must[perdure.Session](t)(from.Create(t.Context(), perdure.Data{UserID: "u"}))
	run(t, source, target, migrate.Options{})
	must[perdure.Session](t)(from.Update(t.Context(), s.ID, perdure.Patch{Metadata: map[string]any{"from": 1}}))
	must[perdure.Session](t)(to.Update(t.Context(), s.ID, perdure.Patch{Metadata: map[string]any{"to": 2}}))
	if result := run(t, source, target, migrate.Options{}); result.Conflicts != 1 {
		t.Errorf("%+v", result)
	}
	got := must[perdure.Session](t)(to.Get(t.Context(), s.ID))
	if got.Metadata.Len() != 2 {
		t.Errorf("metadata: %+v", got.Metadata)
	}
}
