package migrate_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/migrate"
)

// TestVerifyFinds makes each kind of difference and has it found, and nothing
// else.
func TestVerifyFinds(t *testing.T) {
	for kind, spoil := range map[migrate.Kind]func(t *testing.T, s seeded, source, target perdure.Backend) string{
		migrate.Missing: func(t *testing.T, _ seeded, source, _ perdure.Backend) string { return create(t, source) },
		migrate.Extra:   func(t *testing.T, _ seeded, _, target perdure.Backend) string { return create(t, target) },
		migrate.Ended: func(t *testing.T, s seeded, _, target perdure.Backend) string {
			must[bool](t)(storeOn(t, target, perdure.Options{}).Delete(t.Context(), s.live[0]))
			return s.live[0]
		},
		migrate.Revived: func(t *testing.T, s seeded, source, _ perdure.Backend) string {
			must[bool](t)(storeOn(t, source, perdure.Options{}).Delete(t.Context(), s.live[0]))
			return s.live[0]
		},
		migrate.Unended: func(t *testing.T, _ seeded, source, _ perdure.Backend) string {
			id := create(t, source)
			must[bool](t)(storeOn(t, source, perdure.Options{}).Delete(t.Context(), id))
			return id
		},
		migrate.Head: func(t *testing.T, s seeded, source, _ perdure.Backend) string {
			name := "new"
			must[perdure.Session](t)(storeOn(t, source, perdure.Options{}).Update(t.Context(), s.live[0], perdure.Patch{Username: &name}))
			return s.live[0]
		},
		migrate.Body: func(t *testing.T, s seeded, _, target perdure.Backend) string {
			return rewrite(t, target, s.live[0], func(r *perdure.Record) { r.Body += "x" })
		},
		migrate.Life: func(t *testing.T, s seeded, _, target perdure.Backend) string {
			return rewrite(t, target, s.live[0], func(r *perdure.Record) { r.LastAccess += 700 })
		},
	} {
		t.Run(string(kind), func(t *testing.T) {
			source, target := memory(t), memory(t)
			sessions := seed(t, source, 40)
			run(t, source, target, migrate.Options{})
			if report, err := verify(t, source, target, migrate.VerifyOptions{}); err != nil {
				t.Fatalf("%v: %+v", err, report)
			}
			id := spoil(t, sessions, source, target)
			report, err := verify(t, source, target, migrate.VerifyOptions{})
			if !errors.Is(err, migrate.ErrDiffers) || len(report.Found) != 1 || report.Found[kind] != 1 || report.Differences[0].ID != id || report.Differences[0].Kind != kind {
				t.Errorf("%v: %+v", err, report)
			}
			_, err = verify(t, source, target, migrate.VerifyOptions{OneWay: true})
			if (err == nil) != (kind == migrate.Extra) {
				t.Errorf("one way: %v", err)
			}
			_, err = verify(t, source, target, migrate.VerifyOptions{Tolerance: time.Second})
			if (err == nil) != (kind == migrate.Life) {
				t.Errorf("with a tolerance: %v", err)
			}
		})
	}
}

func create(t *testing.T, b perdure.Backend) string {
	return must[perdure.Session](t)(storeOn(t, b, perdure.Options{}).Create(t.Context(), perdure.Data{UserID: "new"})).ID
}

// rewrite changes a stored record, its version kept.
func rewrite(t *testing.T, b perdure.Backend, id string, change func(*perdure.Record)) string {
	t.Helper()
	r := must[perdure.Record](t)(b.Get(t.Context(), id))
	base := r.Version
	change(&r)
	results, err := b.Apply(t.Context(), []perdure.Batch{{{Op: perdure.OpPut, Record: r, Base: base}}})
	if err != nil || results[0].Outcome != perdure.Applied {
		t.Fatal(err, results)
	}
	return id
}

// forgetful is a backend whose lists of users lack a session.
type forgetful struct {
	perdure.Backend
	id string
}

func (f *forgetful) ListUser(ctx context.Context, user perdure.UserKey, after string, limit int) (perdure.Page, error) {
	page, err := f.Backend.ListUser(ctx, user, after, limit)
	for i, r := range page.Records {
		if r.ID == f.id {
			page.Records = append(page.Records[:i:i], page.Records[i+1:]...)
			break
		}
	}
	return page, err
}

func TestVerifyFindsWhatIsNotListed(t *testing.T) {
	source, target := memory(t), memory(t)
	id := seed(t, source, 40).live[3]
	run(t, source, target, migrate.Options{})
	lame := &forgetful{target, id}
	report, err := verify(t, source, lame, migrate.VerifyOptions{})
	if !errors.Is(err, migrate.ErrDiffers) || report.Found[migrate.Index] != 1 || len(report.Found) != 1 || report.Differences[0].ID != id {
		t.Errorf("%v: %+v", err, report)
	}
	if _, err := verify(t, source, lame, migrate.VerifyOptions{SkipIndex: true}); err != nil {
		t.Error(err)
	}
	if _, err := migrate.Live(t.Context(), source, lame, nil, migrate.Options{}); !errors.Is(err, migrate.ErrDiffers) {
		t.Errorf("a live migration is content: %v", err)
	}
}
