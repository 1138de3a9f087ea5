package archive_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/archive"
	"github.com/perdure/perdure/internal/redistest"
)

// TestOneByteStopsNoBackup: what cannot be read is counted and named, and the rest
// of the store is in the file; restoring into such a store fails for it alone.
func TestOneByteStopsNoBackup(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	from := onRedis(t, server.URL(), "from:")
	var ids []string
	for range 20 {
		ids = append(ids, create(t, from, perdure.Data{UserID: "ada"}).ID)
	}
	whole := save(t, from, archive.BackupOptions{})
	server.Spoil(t, ids[0], redistest.SpoilFormat)
	server.Spoil(t, ids[1], 80) // the body: an archive takes it as it is

	for format, lost := range map[archive.Format][]string{archive.FormatArchive: ids[:1], archive.FormatLines: ids[:2]} {
		var out bytes.Buffer
		s, err := archive.Backup(t.Context(), from.Backend(), &out, archive.BackupOptions{Format: format, PageSize: 3})
		lost = slices.Sorted(slices.Values(lost))
		if err != nil || s.Footer.Unreadable != int64(len(lost)) || !slices.Equal(s.Unreadable, lost) || s.Footer.Sessions != int64(20-len(lost)) {
			t.Fatalf("%s: %+v, %v", format, s, err)
		}
		to := inMemory(t)
		if done := restore(t, out.Bytes(), to, archive.RestoreOptions{}); done.Restored != int64(20-len(lost)) || done.Failed != 0 {
			t.Errorf("%s: %+v", format, done)
		}
	}
	for _, o := range []archive.RestoreOptions{{DryRun: true}, {Overwrite: true}, {}} {
		done := restore(t, whole, from, o)
		var failed []string
		for _, f := range done.Failures {
			failed = append(failed, f.ID)
		}
		if slices.Sort(failed); done.Failed == 0 || !slices.Contains(failed, ids[0]) || slices.ContainsFunc(failed, func(id string) bool { return !slices.Contains(ids[:2], id) }) {
			t.Errorf("%+v: %+v", o, done)
		}
	}
	if _, err := from.Get(t.Context(), ids[0]); !errors.Is(err, perdure.ErrFormat) {
		t.Errorf("it was changed: %v", err)
	}
}

// TestARecordThatIsSpoiledDuringABackup is met in the change feed.
func TestARecordThatIsSpoiledDuringABackup(t *testing.T) {
	server := redistest.Start(t, redistest.Options{})
	from := onRedis(t, server.URL(), "from:")
	id := create(t, from, perdure.Data{UserID: "ada"}).ID
	once := false
	var out bytes.Buffer
	s, err := archive.Backup(t.Context(), from.Backend(), &out, archive.BackupOptions{Progress: func(p archive.Progress) {
		if p.Stage == "scan" && !once {
			once = true
			must[bool](t)(from.Delete(t.Context(), create(t, from, perdure.Data{UserID: "bob"}).ID))
			name := "changed"
			must[perdure.Session](t)(from.Update(t.Context(), id, perdure.Patch{Username: &name}))
			server.Spoil(t, id, redistest.SpoilFormat)
		}
	}})
	if err != nil || !slices.Equal(s.Unreadable, []string{id}) || s.Footer.Tombstones != 1 {
		t.Errorf("%+v, %v", s, err)
	}
}
