package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/archive"
	"github.com/perdure/perdure/backend/local"
	"github.com/perdure/perdure/internal/redistest"
)

// busy is a backend at which something happens after each page of a scan.
type busy struct {
	perdure.Backend
	pages int
	after func(page int)
}

func (b *busy) Scan(ctx context.Context, q perdure.ScanQuery) (perdure.Page, error) {
	page, err := b.Backend.Scan(ctx, q)
	b.pages++
	b.after(b.pages)
	return page, err
}

// What happens while a backup is made is in it: who logs out after he was scanned
// is logged out, and who logs in behind the scan is there.
func TestBackupWhileUsersWrite(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	for name, store := range map[string]*perdure.Store{"memory": inMemory(t), "redis": onRedis(t, server.URL(), "busy:")} {
		t.Run(name, func(t *testing.T) {
			var ids []string
			for i := range 300 {
				ids = append(ids, create(t, store, perdure.Data{UserID: fmt.Sprint(i)}).ID)
			}
			var file bytes.Buffer
			b := &busy{Backend: store.Backend(), after: func(page int) {
				if page > 10 {
					return
				}
				at := 20 * page
				must[bool](t)(store.Delete(t.Context(), ids[at]))
				must[int](t)(store.RevokeUser(t.Context(), fmt.Sprint(at+1)))
				must[perdure.Session](t)(store.Rotate(t.Context(), ids[at+2], 0))
				must[perdure.Session](t)(store.Update(t.Context(), ids[at+3], perdure.Patch{Roles: []string{"new"}, ExpiresAt: time.Now().Add(time.Minute)}))
				must[bool](t)(store.Touch(t.Context(), ids[at+4]))
				create(t, store, perdure.Data{UserID: "late"})
			}}
			summary, err := archive.Backup(t.Context(), b, &file, archive.BackupOptions{PageSize: 20})
			if err != nil || b.pages < 10 || summary.Footer.Rescans > 0 {
				t.Fatalf("%+v, %v", summary, err)
			}
			copied := inMemory(t)
			restore(t, file.Bytes(), copied, archive.RestoreOptions{})
			same(t, copied, store)
		})
	}
}

// The same with writers that nobody steps: what they were told before the backup
// caught up is in it.
func TestBackupUnderLoad(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	writer, reader := onRedis(t, server.URL(), "load:"), onRedis(t, server.URL(), "load:")
	for i := range 500 {
		create(t, writer, perdure.Data{UserID: fmt.Sprint(i % 50)})
	}
	stop := make(chan struct{})
	var writers sync.WaitGroup
	var gone sync.Map
	for w := range 4 {
		writers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				s, err := writer.Create(context.Background(), perdure.Data{UserID: fmt.Sprintf("w%d", w)})
				if err == nil {
					_, err = writer.Update(context.Background(), s.ID, perdure.Patch{Roles: []string{"x"}})
				}
				if err == nil {
					_, err = writer.Delete(context.Background(), s.ID)
				}
				if err != nil {
					t.Error(err)
					return
				}
				gone.Store(s.ID, true)
			}
		})
	}
	for range 3 {
		// All that was gone before a backup is dead in it, and all that it holds
		// that is dead now dies where it is restored together with a later one.
		before := map[string]bool{}
		gone.Range(func(id, _ any) bool { before[id.(string)] = true; return true })
		copied := inMemory(t)
		restore(t, save(t, reader, archive.BackupOptions{PageSize: 50}), copied, archive.RestoreOptions{})
		for id := range before {
			if _, err := copied.Get(t.Context(), id); !errors.Is(err, perdure.ErrNotFound) {
				t.Fatalf("%s was logged out before the backup, and lives in it: %v", id, err)
			}
		}
		if n := must[perdure.Stats](t)(copied.Stats(t.Context())).Sessions; n < 500 || n > 504 {
			t.Errorf("%d sessions live", n)
		}
	}
	close(stop)
	writers.Wait()
	copied := inMemory(t)
	restore(t, save(t, reader, archive.BackupOptions{}), copied, archive.RestoreOptions{})
	same(t, copied, writer)
}

// A change feed that is too short for the scan is noticed: the store is scanned
// again, and where that goes on the backup fails rather than miss a logout.
func TestFeedGap(t *testing.T) {
	backend, err := local.Open(local.Options{FeedLength: 8})
	store := open(t, backend, err)
	var ids []string
	for i := range 200 {
		ids = append(ids, create(t, store, perdure.Data{UserID: fmt.Sprint(i)}).ID)
	}
	flood := func() {
		must[bool](t)(store.Delete(t.Context(), ids[0]))
		for range 10 {
			create(t, store, perdure.Data{UserID: "flood"})
		}
		ids = ids[1:]
	}
	var file bytes.Buffer
	b := &busy{Backend: backend, after: func(page int) {
		if page == 3 {
			flood()
		}
	}}
	summary, err := archive.Backup(t.Context(), b, &file, archive.BackupOptions{PageSize: 50})
	if err != nil || summary.Footer.Rescans != 1 {
		t.Fatalf("%+v, %v", summary, err)
	}
	copied := inMemory(t)
	if done := restore(t, file.Bytes(), copied, archive.RestoreOptions{}); done.LeftDead > 1 {
		t.Errorf("%+v", done)
	}
	same(t, copied, store)
	b = &busy{Backend: backend, after: func(int) { flood() }}
	if _, err := archive.Backup(t.Context(), b, &file, archive.BackupOptions{PageSize: 50}); !errors.Is(err, perdure.ErrFeedGap) {
		t.Errorf("%v", err)
	}
}

// lagging is a backend whose cache hears of changes late.
type lagging struct {
	perdure.Backend
	behind map[string]perdure.Record // what the cache holds
	loads  int
}

func (l *lagging) Load(ctx context.Context, ids []string) ([]perdure.Record, error) {
	found, err := l.Backend.Load(ctx, ids)
	for i, id := range ids {
		if old, ok := l.behind[id]; ok && l.loads < 3 {
			found[i] = old
		}
	}
	l.loads++
	return found, err
}

// A cache may be behind the change feed. What it says of a session whose logout
// was announced is not believed.
func TestBackupBehindACache(t *testing.T) {
	store := inMemory(t)
	out, changed := create(t, store, perdure.Data{UserID: "a"}), create(t, store, perdure.Data{UserID: "b"})
	l := &lagging{Backend: store.Backend(), behind: map[string]perdure.Record{}}
	for _, r := range records(t, store) {
		l.behind[r.ID] = r
	}
	b := &busy{Backend: l, after: func(int) {
		must[bool](t)(store.Delete(t.Context(), out.ID))
		must[perdure.Session](t)(store.Update(t.Context(), changed.ID, perdure.Patch{Roles: []string{"x"}}))
	}}
	var file bytes.Buffer
	if _, err := archive.Backup(t.Context(), b, &file, archive.BackupOptions{}); err != nil || l.loads < 4 {
		t.Fatalf("%d loads, %v", l.loads, err)
	}
	copied := inMemory(t)
	restore(t, file.Bytes(), copied, archive.RestoreOptions{})
	same(t, copied, store)
}

// A tombstone can be older than the session that it met. A backup that finds it
// does not wait for a newer one.
func TestBackupMeetsAnOldTombstone(t *testing.T) {
	side, store := inMemory(t), inMemory(t)
	session := create(t, side, perdure.Data{UserID: "a"})
	restore(t, save(t, side, archive.BackupOptions{}), store, archive.RestoreOptions{})
	must[bool](t)(side.Delete(t.Context(), session.ID))
	must[perdure.Session](t)(store.Update(t.Context(), session.ID, perdure.Patch{Roles: []string{"later"}}))
	tomb := save(t, side, archive.BackupOptions{})
	var file bytes.Buffer
	b := &busy{Backend: store.Backend(), after: func(int) {
		must[perdure.Session](t)(store.Update(t.Context(), session.ID, perdure.Patch{Roles: []string{"latest"}}))
		restore(t, tomb, store, archive.RestoreOptions{})
	}}
	if _, err := archive.Backup(t.Context(), b, &file, archive.BackupOptions{}); err != nil {
		t.Fatal(err)
	}
	copied := inMemory(t)
	restore(t, file.Bytes(), copied, archive.RestoreOptions{})
	same(t, copied, store)
}

// A session that changed while it was saved is in the file twice. Going back to
// that file goes back to the later of the two.
func TestOverwriteByASessionThatIsThereTwice(t *testing.T) {
	store := inMemory(t)
	var ids []string
	for i := range 40 {
		ids = append(ids, create(t, store, perdure.Data{UserID: fmt.Sprint(i)}).ID)
	}
	write := func(role string) {
		for _, id := range ids {
			must[perdure.Session](t)(store.Update(t.Context(), id, perdure.Patch{Roles: []string{role}}))
		}
	}
	var file bytes.Buffer
	b := &busy{Backend: store.Backend(), after: func(page int) { write(fmt.Sprintf("page %d", page)) }}
	summary, err := archive.Backup(t.Context(), b, &file, archive.BackupOptions{PageSize: 15})
	if err != nil || summary.Footer.Sessions <= 40 {
		t.Fatalf("%+v, %v", summary, err)
	}
	write("after the backup")
	restore(t, file.Bytes(), store, archive.RestoreOptions{Overwrite: true, Workers: 4})
	for _, id := range ids {
		if got := must[perdure.Session](t)(store.Get(t.Context(), id)); fmt.Sprint(got.Roles) != fmt.Sprintf("[page %d]", b.pages) {
			t.Errorf("%s reads %q", id, got.Roles)
		}
	}
}

func TestBackupStops(t *testing.T) {
	store := inMemory(t)
	populate(t, store, 100)
	ctx, stop := context.WithCancel(t.Context())
	var file bytes.Buffer
	_, err := archive.Backup(ctx, store.Backend(), &file, archive.BackupOptions{PageSize: 10, Progress: func(p archive.Progress) {
		if p.Records >= 50 {
			stop()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := attempt(t, file.Bytes(), inMemory(t), archive.OpenOptions{}); !errors.Is(err, archive.ErrDamaged) {
		t.Errorf("what it wrote is taken for an archive: %v", err)
	}
}
