package local_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

func dataFile(dir string) string { return filepath.Join(dir, "perdure.db") }

// wantOpenError fails unless a directory cannot be opened, with this error and a
// text that has all of these in it.
func wantOpenError(t *testing.T, dir string, target error, texts ...string) {
	t.Helper()
	b, err := local.Open(local.Options{Dir: dir})
	if err == nil {
		b.Close()
		t.Fatal("it opens")
	}
	if !errors.Is(err, target) {
		t.Errorf("%v is not %q", err, target)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q does not say %q", err, text)
		}
	}
}

func TestASecondProcessIsToldWhoHoldsTheDirectory(t *testing.T) {
	dir := t.TempDir()
	c := startChild(t, "hold the directory", dir)
	if !c.lines.Scan() {
		t.Fatal("the other process does not open the directory")
	}
	wantOpenError(t, dir, perdure.ErrUnavailable, dir, "another process", "stop that one") // and does not wait for it to end
	c.stdin.Close()
	if err := c.cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	open(t, local.Options{Dir: dir})
	wantOpenError(t, dir, perdure.ErrUnavailable, dir, "another process")
}

func holdTheDirectory(dir string) error {
	b, err := local.Open(local.Options{Dir: dir})
	if err != nil {
		return err
	}
	os.Stdout.WriteString("open\n")
	io.Copy(io.Discard, os.Stdin)
	return b.Close()
}

func TestTheFileIsForItsOwnerAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	b := open(t, local.Options{Dir: dir})
	for path, want := range map[string]os.FileMode{dir: 0o700, dataFile(dir): 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, %v; want %v", path, info.Mode().Perm(), err, want)
		}
	}
	os.Chmod(dir, 0o755)
	os.Chmod(dataFile(dir), 0o644)
	findings, err := b.Inspect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range findings[:2] {
		if f.Severity != perdure.SeverityWarning || !strings.Contains(f.Advice, "chmod 0") {
			t.Errorf("a directory open to all is %+v", f)
		}
	}
}

func TestUnusableDirectories(t *testing.T) {
	dir := t.TempDir()
	os.WriteFile(filepath.Join(dir, "file"), nil, 0o600)
	wantOpenError(t, filepath.Join(dir, "file"), perdure.ErrUnavailable, "this user can write")
	os.Mkdir(filepath.Join(dir, "perdure.db"), 0o700)
	wantOpenError(t, dir, perdure.ErrUnavailable, "this user can write")
}

func TestForeignAndNewerFilesAreRefused(t *testing.T) {
	for name, change := range map[string]func(*bbolt.Tx) error{
		"upgrade":                    func(tx *bbolt.Tx) error { return tx.Bucket([]byte("meta")).Put([]byte("layout"), []byte("2")) },
		"not a data file of perdure": func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("meta")) },
	} {
		dir := t.TempDir()
		open(t, local.Options{Dir: dir}).Close()
		rewrite(t, dir, change)
		before, _ := os.ReadFile(dataFile(dir))
		wantOpenError(t, dir, perdure.ErrFormat, name)
		if after, _ := os.ReadFile(dataFile(dir)); string(after) != string(before) {
			t.Errorf("%s: the file was changed", name)
		}
	}
	dir := t.TempDir()
	os.WriteFile(dataFile(dir), []byte(strings.Repeat("something else ", 3000)), 0o600)
	wantOpenError(t, dir, perdure.ErrFormat, "move it away")
}

// rewrite changes the data file of a directory that nobody holds.
func rewrite(t *testing.T, dir string, change func(*bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(dataFile(dir), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Update(change); err != nil {
		t.Fatal(err)
	}
}

// filled is a data file with some sessions, and what is in it.
func filled(t *testing.T, n int) (dir string, records map[string]perdure.Record) {
	t.Helper()
	dir = t.TempDir()
	b := open(t, local.Options{Dir: dir, EndReserve: -1, Timeout: time.Minute})
	records = map[string]perdure.Record{}
	all := newSessions(n)
	for len(all) > 0 {
		fill(t, b, all[:min(len(all), 100)])
		for _, r := range all[:min(len(all), 100)] {
			records[r.ID] = r
		}
		all = all[min(len(all), 100):]
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, records
}

// However a file is damaged, it is refused, or what is served of it is what was
// stored; and nothing panics, then or later.
func TestDamagedFiles(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 50
	}
	dir, records := filled(t, 1000)
	whole, err := os.ReadFile(dataFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	refused, unread := 0, 0
	for range rounds {
		bad := []byte(string(whole))
		damage(bad)
		if err := os.WriteFile(dataFile(dir), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := local.Open(local.Options{Dir: dir})
		if err != nil {
			if !errors.Is(err, perdure.ErrFormat) {
				t.Errorf("a damaged file is %v, not ErrFormat", err)
			}
			refused++
			continue
		}
		all := scanAll(t, b)
		for _, r := range all {
			if r != records[r.ID] {
				t.Errorf("a record that was not stored is served: %+v", r)
			}
		}
		stats, err := b.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if missing := len(records) - len(all); stats.Details["unreadable"] != strconv.Itoa(missing) {
			t.Errorf("%d records are missing, and counted as unreadable are %s", missing, stats.Details["unreadable"])
		} else if missing > 0 {
			unread++
		}
		useDamaged(t, b)
	}
	t.Logf("of %d damaged files %d were refused and %d read in part", rounds, refused, unread)
}

// damage overwrites some bytes at one place or a few. It leaves the two meta
// pages alone: where the newer is damaged, bbolt takes the older, and opens as
// it was before the last commit.
func damage(file []byte) {
	metas := 2 * os.Getpagesize()
	for range 1 + rand.IntN(3) {
		at := metas + rand.IntN(len(file)-metas)
		if rand.IntN(2) == 0 {
			at = at &^ 4095 // the head of a page
		}
		copy(file[at:], randomBytes(1+rand.IntN(64)))
	}
}

// useDamaged writes to a file that may be damaged where it was not read.
func useDamaged(t *testing.T, b *local.Backend) {
	t.Helper()
	for _, r := range newSessions(4) {
		results, err := b.Apply(t.Context(), []perdure.Batch{put(r, perdure.Version{})})
		if err == nil {
			err = results[0].Err
		}
		if err != nil && !errors.Is(err, perdure.ErrUnavailable) {
			t.Errorf("a write to a damaged file: %v", err)
		}
	}
	b.Sweep(t.Context(), 1<<47, 100)
	b.Close()
}

func TestTruncatedFiles(t *testing.T) {
	dir, records := filled(t, 1000)
	whole, err := os.ReadFile(dataFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1, 100, 4096, 5000, 8192, 12288, 16384, 20000, len(whole) / 2, len(whole) - 4096*3} {
		if err := os.WriteFile(dataFile(dir), whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		b, err := local.Open(local.Options{Dir: dir})
		if err == nil { // it was cut where nothing was
			if all := scanAll(t, b); len(all) != len(records) {
				t.Errorf("cut to %d of %d bytes it opens with %d of %d records", size, len(whole), len(all), len(records))
			}
			useDamaged(t, b)
		} else if !errors.Is(err, perdure.ErrFormat) || !strings.Contains(err.Error(), dataFile(dir)) {
			t.Errorf("cut to %d bytes: %v", size, err)
		}
	}
}

// A file that is cut short under a running backend fails its writes, and not
// the process; what is in memory is still served.
func TestAFileThatIsCutShortUnderUs(t *testing.T) {
	dir, records := filled(t, 1000)
	b := open(t, local.Options{Dir: dir})
	if err := os.Truncate(dataFile(dir), 4096); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := b.Ping(t.Context()); err == nil {
			_, err = b.Apply(t.Context(), []perdure.Batch{put(newSessions(1)[0], perdure.Version{})})
			if !errors.Is(err, perdure.ErrUnavailable) || !strings.Contains(err.Error(), "restart") {
				t.Errorf("a write: %v", err)
			}
		} else if !errors.Is(err, perdure.ErrUnavailable) {
			t.Errorf("a ping: %v", err)
		}
	}
	for id, want := range records {
		if got, err := b.Get(t.Context(), id); err != nil || got != want {
			t.Fatalf("%+v, %v", got, err)
		}
	}
	findings, err := b.Inspect(t.Context())
	if err != nil || findings[0].Severity != perdure.SeverityError {
		t.Errorf("a file that takes no writes is inspected as %+v, %v", findings, err)
	}
	b.Close()
}

func TestUnreadableRecordsStayAndAreNotServed(t *testing.T) {
	dir, records := filled(t, 8)
	clock := perdure.NewClock(nil)
	var ids []string
	values := map[string]string{}
	rewrite(t, dir, func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte("records"))
		for id := range records {
			value := []byte(string(bucket.Get([]byte(id))))
			switch len(ids) {
			case 0:
				value = reformat(id, value)
			case 1:
				value[len(value)-1]++ // fails its checksum
			case 2:
				value = value[:3]
			default:
				return nil
			}
			ids = append(ids, id)
			values[id] = string(value)
			if err := bucket.Put([]byte(id), value); err != nil {
				return err
			}
		}
		return nil
	})
	var log strings.Builder
	b := open(t, local.Options{Dir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for _, id := range ids {
		wantUnreadable(t, b, records[id], clock)
		if !strings.Contains(log.String(), id) {
			t.Errorf("the log does not name %s:\n%s", id, log.String())
		}
	}
	if !strings.Contains(log.String(), "format 9") || strings.Contains(log.String(), "xxxx") {
		t.Errorf("the log is\n%s", log.String())
	}
	stats, err := b.Stats(t.Context())
	if err != nil || stats.Details["unreadable"] != "3" || stats.Sessions != 5 {
		t.Errorf("stats: %+v, %v", stats, err)
	}
	if findings, err := b.Inspect(t.Context()); err != nil || findings[0].Severity != perdure.SeverityError || findings[0].Found != "3" {
		t.Errorf("findings: %+v, %v", findings, err)
	}
	if _, _, err := b.Sweep(t.Context(), 1<<47, 1000); err != nil {
		t.Fatal(err)
	}
	b.Close()
	rewrite(t, dir, func(tx *bbolt.Tx) error {
		for id, value := range values {
			if got := tx.Bucket([]byte("records")).Get([]byte(id)); string(got) != value {
				t.Errorf("the bytes of %s were changed", id)
			}
		}
		return nil
	})
}

// A record that is gone without a trace is one that somebody was logged out by.
func TestRecordsThatVanishedAreMissed(t *testing.T) {
	dir, records := filled(t, 20)
	rewrite(t, dir, func(tx *bbolt.Tx) error {
		for id := range records {
			return tx.Bucket([]byte("records")).Delete([]byte(id))
		}
		return nil
	})
	wantOpenError(t, dir, perdure.ErrFormat, "it has 19 records, and should have 20", "backup")
}

// reformat makes a stored value one of a newer format, with a right checksum.
func reformat(id string, value []byte) []byte {
	value[4] = 9
	sum := checksum(id, value[4:])
	return append(sum, value[4:]...)
}

// wantUnreadable tries all that could serve or change a record.
func wantUnreadable(t *testing.T, b *local.Backend, r perdure.Record, clock *perdure.Clock) {
	t.Helper()
	want := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, perdure.ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
	_, err := b.Get(t.Context(), r.ID)
	want("Get", err)
	_, err = b.Load(t.Context(), []string{r.ID})
	want("Load", err)
	next, successor := r, newSession(r.User, perdure.NewID(r.User.Partition()), clock, "")
	next.Version, successor.Parent = clock.Tick(), r.ID
	results, err := b.Apply(t.Context(), []perdure.Batch{
		put(next, perdure.Version{}), put(next, r.Version), put(successor, perdure.Version{}),
		{{Op: perdure.OpTouch, Record: next}}, {{Op: perdure.OpRemove, Record: next, Plant: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, result := range results {
		want("Apply", result.Err)
	}
	page, err := b.ListUser(t.Context(), r.User, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	for _, listed := range append(page.Records, scanAll(t, b)...) {
		if listed.ID == r.ID {
			t.Errorf("%s is listed", r.ID)
		}
	}
}

func checksum(id string, record []byte) []byte {
	table := crc32.MakeTable(crc32.Castagnoli)
	return binary.BigEndian.AppendUint32(nil, crc32.Update(crc32.Checksum([]byte(id), table), table, record))
}
