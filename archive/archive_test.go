package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"go.uber.org/goleak"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/archive"
	"github.com/perdure/perdure/backend/local"
	"github.com/perdure/perdure/internal/redistest"
)

func TestMain(m *testing.M) {
	if dir := fullDiskFolder(); dir != "" {
		writeToAFullDisk(dir)
	}
	// The client keeps its connections to a node that has left a Cluster for five seconds.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/redis/rueidis.(*clusterClient)._refresh.func2"))
}

// Whatever store it comes from and goes to, each record comes back byte for
// byte, from an archive and from JSON lines.
func TestRoundTrip(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	cluster := redistest.StartCluster(t, redistest.ClusterOptions{})
	stores := map[string]func(name string) *perdure.Store{
		"memory":  func(string) *perdure.Store { return inMemory(t) },
		"file":    func(string) *perdure.Store { return inFile(t) },
		"redis":   func(name string) *perdure.Store { return onRedis(t, server.URL(), name+":") },
		"cluster": func(name string) *perdure.Store { return onRedis(t, cluster.URL(), name+":") },
	}
	for from, source := range stores {
		origin := source("origin")
		populate(t, origin, 40)
		for _, format := range []archive.Format{archive.FormatArchive, archive.FormatLines} {
			file := save(t, origin, archive.BackupOptions{Format: format, PageSize: 7})
			for to, target := range stores {
				t.Run(fmt.Sprintf("%s to %s as %s", from, to, format), func(t *testing.T) {
					copied := target(from + string(format))
					before := records(t, origin)
					done := restore(t, file, copied, archive.RestoreOptions{})
					same(t, copied, origin)
					if done.Restored != 44 || done.Tombstones != 4 || done.Unchanged+done.LeftDead+done.Failed+done.Expired > 0 {
						t.Errorf("%+v", done)
					}
					again := restore(t, file, copied, archive.RestoreOptions{})
					if again.Restored+again.Tombstones+again.LeftDead+again.Failed > 0 || again.Unchanged != 44 {
						t.Errorf("a second time: %+v", again)
					}
					same(t, copied, origin)
					if !reflect.DeepEqual(before, records(t, origin)) {
						t.Error("the source has changed")
					}
				})
			}
		}
	}
}

// An encrypted file opens with each of its keys, and with no other.
func TestEncryption(t *testing.T) {
	origin := inMemory(t)
	populate(t, origin, 20)
	a, b, stranger := key(t), key(t), key(t)
	phrase := must[*age.ScryptRecipient](t)(age.NewScryptRecipient("correct horse"))
	phrase.SetWorkFactor(10)
	right := must[*age.ScryptIdentity](t)(age.NewScryptIdentity("correct horse"))
	wrong := must[*age.ScryptIdentity](t)(age.NewScryptIdentity("battery staple"))
	for name, c := range map[string]struct {
		to          []age.Recipient
		opens, fail []age.Identity
		kind        string
	}{
		"keys":       {[]age.Recipient{a.Recipient(), b.Recipient()}, []age.Identity{b, a}, []age.Identity{stranger}, "X25519"},
		"passphrase": {[]age.Recipient{phrase}, []age.Identity{right}, []age.Identity{wrong}, "scrypt"},
	} {
		for _, format := range []archive.Format{archive.FormatArchive, archive.FormatLines} {
			file := save(t, origin, archive.BackupOptions{Recipients: c.to, Format: format})
			if bytes.Contains(file, []byte("PERDURE")) || bytes.Contains(file, []byte("user:1")) {
				t.Errorf("%s: it can be read without a key", name)
			}
			for _, identity := range c.opens {
				copied := inMemory(t)
				if _, err := attempt(t, file, copied, archive.OpenOptions{Identities: []age.Identity{stranger, identity}}); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				same(t, copied, origin)
			}
			for _, identities := range [][]age.Identity{nil, c.fail} {
				locked(t, file, identities, c.kind)
			}
			plain := must[*bytes.Buffer](t)(decrypted(file, c.opens[0])) // age alone opens it too
			copied := inMemory(t)
			restore(t, plain.Bytes(), copied, archive.RestoreOptions{})
			same(t, copied, origin)
		}
	}
}

func decrypted(file []byte, identity age.Identity) (*bytes.Buffer, error) {
	in, err := age.Decrypt(bytes.NewReader(file), identity)
	if err != nil {
		return nil, err
	}
	var plain bytes.Buffer
	_, err = plain.ReadFrom(in)
	return &plain, err
}

// locked fails unless the file tells nothing but for whom it is.
func locked(t *testing.T, file []byte, identities []age.Identity, kind string) {
	t.Helper()
	f := read(t, file, archive.OpenOptions{Identities: identities})
	store := inMemory(t)
	if _, err := f.Restore(t.Context(), into(store), archive.RestoreOptions{}); !errors.Is(err, archive.ErrLocked) {
		t.Errorf("restored without a key: %v", err)
	}
	if _, err := f.Verify(t.Context(), nil); !errors.Is(err, archive.ErrLocked) || errors.Is(err, archive.ErrDamaged) {
		t.Errorf("verified without a key: %v", err)
	}
	report, err := f.Inspect(t.Context())
	if err != nil || !report.Encrypted || report.Format != "" || report.Header != nil || report.Recipients[0] != kind {
		t.Errorf("inspected without a key: %+v, %v", report, err)
	}
	if len(records(t, store)) > 0 {
		t.Error("something was written")
	}
}

// What was logged out or revoked after the backup stays so, in whatever way it is
// restored.
func TestRestoreUndoesNoLogout(t *testing.T) {
	for _, o := range []archive.RestoreOptions{{}, {Overwrite: true}, {DryRun: true}, {SkipExpired: true}} {
		store := inMemory(t)
		out := create(t, store, perdure.Data{UserID: "out"})
		rotated := create(t, store, perdure.Data{UserID: "rotated"})
		successor := must[perdure.Session](t)(store.Rotate(t.Context(), rotated.ID, 0))
		revoked := create(t, store, perdure.Data{UserID: "revoked"})
		kept := create(t, store, perdure.Data{UserID: "kept"})
		for _, format := range []archive.Format{archive.FormatArchive, archive.FormatLines} {
			file := save(t, store, archive.BackupOptions{Format: format})
			must[bool](t)(store.Delete(t.Context(), out.ID))
			must[bool](t)(store.Delete(t.Context(), rotated.ID))
			must[int](t)(store.RevokeUser(t.Context(), "revoked"))
			done := restore(t, file, store, o)
			if format == archive.FormatArchive && (done.LeftDead != 3 || done.Restored != 0 || done.Unchanged != 1) {
				t.Errorf("%+v: %+v", o, done)
			}
			for _, id := range []string{out.ID, rotated.ID, successor.ID, revoked.ID} {
				if s, err := store.Get(t.Context(), id); !errors.Is(err, perdure.ErrNotFound) {
					t.Errorf("%+v: %+v is back, %v", o, s, err)
				}
			}
			if _, err := store.Get(t.Context(), kept.ID); err != nil {
				t.Error(err)
			}
		}
		// The same goes where the session itself is not there: a revocation in a new
		// store kills what comes.
		empty := inMemory(t)
		must[int](t)(empty.RevokeUser(t.Context(), "kept"))
		file := save(t, store, archive.BackupOptions{})
		if done := restore(t, file, empty, o); done.LeftDead != 1 {
			t.Errorf("%+v: %+v", o, done)
		}
		if s, err := empty.Get(t.Context(), kept.ID); !errors.Is(err, perdure.ErrNotFound) {
			t.Errorf("%+v: %+v, %v", o, s, err)
		}
	}
}

func TestOverwrite(t *testing.T) {
	store := inMemory(t)
	session := create(t, store, perdure.Data{UserID: "u", Username: "old", Metadata: map[string]any{"a": 1}})
	file := save(t, store, archive.BackupOptions{})
	name := "new"
	must[perdure.Session](t)(store.Update(t.Context(), session.ID, perdure.Patch{Username: &name, Metadata: map[string]any{"a": 2, "b": 3}}))
	other := create(t, store, perdure.Data{UserID: "other"})
	if done := restore(t, file, store, archive.RestoreOptions{}); done.Unchanged != 1 || done.Restored != 0 {
		t.Errorf("%+v", done)
	}
	if got := must[perdure.Session](t)(store.Get(t.Context(), session.ID)); got.Username != "new" {
		t.Errorf("without overwrite it is %+v", got)
	}
	if done := restore(t, file, store, archive.RestoreOptions{Overwrite: true}); done.Restored != 1 {
		t.Errorf("%+v", done)
	}
	if got := must[perdure.Session](t)(store.Get(t.Context(), session.ID)); got.Username != "old" || got.Metadata.Len() != 1 {
		t.Errorf("with overwrite it is %+v", got)
	}
	must[perdure.Session](t)(store.Get(t.Context(), other.ID))
	if done := restore(t, file, store, archive.RestoreOptions{Overwrite: true}); done.Unchanged != 1 {
		t.Errorf("again: %+v", done)
	}
}

// at is a store whose time is told.
func at(t *testing.T, now *time.Time) *perdure.Store {
	t.Helper()
	clock := func() time.Time { return *now }
	backend, err := local.Open(local.Options{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	store, err := perdure.New(backend, perdure.Options{SweepInterval: -1, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

func TestExpired(t *testing.T) {
	now := time.Now()
	clock := func() time.Time { return now }
	store := at(t, &now)
	short := create(t, store, perdure.Data{UserID: "short", TTL: time.Minute})
	create(t, store, perdure.Data{UserID: "long"})
	early := save(t, store, archive.BackupOptions{Now: clock})
	now = now.Add(time.Hour)
	without := save(t, store, archive.BackupOptions{Now: clock})
	with := save(t, store, archive.BackupOptions{Now: clock, Expired: true})
	for _, c := range []struct {
		file             []byte
		skip             bool
		restored, passed int64
	}{{early, false, 2, 1}, {early, true, 1, 1}, {without, false, 1, 0}, {with, false, 2, 1}, {with, true, 1, 1}} {
		target := at(t, &now)
		done := restore(t, c.file, target, archive.RestoreOptions{SkipExpired: c.skip, Now: clock})
		if done.Restored != c.restored || done.Expired != c.passed || int64(len(records(t, target))) != c.restored {
			t.Errorf("%+v: %+v", c, done)
		}
		if _, err := target.Get(t.Context(), short.ID); !errors.Is(err, perdure.ErrNotFound) {
			t.Errorf("an expired session is back: %v", err)
		}
		if n := must[int](t)(target.DeleteExpired(t.Context())); int64(n) != c.restored-1 {
			t.Errorf("%d were swept", n)
		}
	}
}

// A dry run counts what the restore then does, and writes nothing.
func TestDryRun(t *testing.T) {
	origin, target := inMemory(t), inMemory(t)
	populate(t, origin, 30)
	file := save(t, origin, archive.BackupOptions{})
	restore(t, file, target, archive.RestoreOptions{})
	create(t, target, perdure.Data{UserID: "there"})
	must[int](t)(target.RevokeUser(t.Context(), "user:3"))
	create(t, origin, perdure.Data{UserID: "new"})
	must[bool](t)(origin.Delete(t.Context(), create(t, origin, perdure.Data{UserID: "x"}).ID))
	file = save(t, origin, archive.BackupOptions{})
	before := records(t, target)
	dry := restore(t, file, target, archive.RestoreOptions{DryRun: true})
	if !reflect.DeepEqual(before, records(t, target)) {
		t.Error("a dry run has written")
	}
	wet := restore(t, file, target, archive.RestoreOptions{})
	if dry.Restored != 1 || dry.LeftDead == 0 || !dry.DryRun {
		t.Errorf("%+v", dry)
	}
	dry.DryRun, dry.Took, wet.Took = false, 0, 0
	if !reflect.DeepEqual(dry, wet) {
		t.Errorf("foreseen was\n%+v and done\n%+v", dry, wet)
	}
}

// A restore that was interrupted is repeated, and then everything is there.
func TestInterruptedRestoreIsRepeated(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	origin := inMemory(t)
	populate(t, origin, 2000)
	file := save(t, origin, archive.BackupOptions{})
	target := onRedis(t, server.URL(), "target:")
	ctx, stop := context.WithCancel(t.Context())
	done, err := read(t, file, archive.OpenOptions{}).Restore(ctx, into(target), archive.RestoreOptions{Workers: 1, Progress: func(p archive.Progress) {
		if p.Stage == "sessions" {
			stop()
		}
	}})
	if n := len(records(t, target)); !errors.Is(err, context.Canceled) || n == 0 || n >= 2000 || done.Restored == 0 {
		t.Fatalf("%d records are there, %v, %+v", n, err, done)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if done, err = attempt(t, file, target, archive.OpenOptions{}); !errors.Is(err, perdure.ErrUnavailable) || done.Failed > 0 {
		t.Errorf("without a server: %v, %+v", err, done)
	}
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	again := onRedis(t, server.URL(), "target:")
	restore(t, file, again, archive.RestoreOptions{})
	same(t, again, origin)
}

// Records that the store refuses are listed, and the rest goes on.
func TestRefusedByTheStore(t *testing.T) {
	ahead := time.Now().Add(time.Hour)
	origin, target := at(t, &ahead), inMemory(t)
	create(t, origin, perdure.Data{UserID: "ahead"})
	create(t, origin, perdure.Data{UserID: "ahead too"})
	fine := inMemory(t)
	kept := create(t, fine, perdure.Data{UserID: "fine"})
	if done := restore(t, save(t, fine, archive.BackupOptions{}), origin, archive.RestoreOptions{}); done.Restored != 1 {
		t.Fatalf("%+v", done)
	}
	done := restore(t, save(t, origin, archive.BackupOptions{}), target, archive.RestoreOptions{})
	must[perdure.Session](t)(target.Get(t.Context(), kept.ID))
	if done.Failed != 2 || done.Restored != 1 || !strings.Contains(done.Failures[0].Reason, "clock") {
		t.Errorf("%+v", done)
	}
}

func TestOptions(t *testing.T) {
	store := inMemory(t)
	var none bytes.Buffer
	for _, o := range []archive.BackupOptions{{PageSize: -1}, {Format: "zip"}, {Format: archive.FormatPuppeteer}} {
		if _, err := archive.Backup(t.Context(), store.Backend(), &none, o); !errors.Is(err, perdure.ErrInvalid) || none.Len() > 0 {
			t.Errorf("%+v: %v", o, err)
		}
	}
	phrase := must[*age.ScryptRecipient](t)(age.NewScryptRecipient("x"))
	phrase.SetWorkFactor(10)
	if _, err := archive.Backup(t.Context(), store.Backend(), &none, archive.BackupOptions{Recipients: []age.Recipient{phrase, key(t).Recipient()}}); err == nil {
		t.Error("a passphrase and a key were taken together")
	}
	f := read(t, save(t, store, archive.BackupOptions{}), archive.OpenOptions{})
	if _, err := f.Restore(t.Context(), into(store), archive.RestoreOptions{Workers: -1}); !errors.Is(err, perdure.ErrInvalid) {
		t.Error(err)
	}
}

// What a file says of itself is there without reading all of it, and right.
func TestInspect(t *testing.T) {
	store := inMemory(t)
	populate(t, store, 10)
	before := time.Now().Add(-time.Second)
	file := save(t, store, archive.BackupOptions{Source: "redis://10.0.0.1:6379"})
	report, err := read(t, file, archive.OpenOptions{}).Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	h, foot := report.Header, report.Footer
	if report.Format != archive.FormatArchive || report.Size != int64(len(file)) || report.Encrypted || h.Source != "redis://10.0.0.1:6379" ||
		h.Sessions != 14 || h.Tombstones != 4 || h.Position == "" || h.StartedAt.Before(before) || foot.FinishedAt.Before(h.StartedAt) ||
		foot.Sessions != 14 || foot.Tombstones != 3 || foot.Epochs != 1 || foot.Position == "" {
		t.Errorf("%+v\n%+v\n%+v", report, h, foot)
	}
	verified, err := read(t, file, archive.OpenOptions{}).Verify(t.Context(), nil)
	if err != nil || verified.Found != foot.Totals {
		t.Errorf("%+v, %v", verified, err)
	}
	// The positions are those of the feed: nothing came after the last.
	if b, err := store.Backend().Changes(t.Context(), foot.Position, 10, 0); err != nil || len(b.Changes) > 0 {
		t.Errorf("%+v, %v", b, err)
	}
}
