package archive_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/archive"
)

// The lines are sessions as everybody sees them, and can be written by hand.
func TestLinesAreForPeople(t *testing.T) {
	store := inMemory(t)
	session := create(t, store, perdure.Data{UserID: "ann", Username: "A <n>", Roles: []string{"x"}, Metadata: map[string]any{"k": json.RawMessage(`"<&>"`)}})
	file := save(t, store, archive.BackupOptions{Format: archive.FormatLines})
	var shown perdure.Session
	if err := json.Unmarshal(file, &shown); err != nil || fmt.Sprint(shown) != fmt.Sprint(session) {
		t.Errorf("%s shows %+v and not %+v, %v", file, shown, session, err)
	}
	if !strings.Contains(string(file), `"k":"<&>"`) || strings.Count(string(file), "\n") != 1 {
		t.Errorf("%s", file)
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	byHand := fmt.Sprintf(`{"createdAt":%q,"expiresAt":%q,"userId":"bob","id":"made-by-hand-0001","metadata":{"n":1}}`,
		now.Add(-time.Hour).Format(time.RFC3339Nano), now.Add(time.Hour).Format(time.RFC3339Nano))
	target := inMemory(t)
	restore(t, []byte("\n  "+byHand+"\n\n"+string(file)), target, archive.RestoreOptions{})
	got := must[perdure.Session](t)(target.Get(t.Context(), "made-by-hand-0001"))
	if got.UserID != "bob" || !got.ExpiresAt.Equal(now.Add(time.Hour)) || !got.CreatedAt.Equal(now.Add(-time.Hour)) {
		t.Errorf("%+v", got)
	}
	if got := must[perdure.Session](t)(target.Get(t.Context(), session.ID)); got.Metadata.String("k") != "<&>" {
		t.Errorf("%+v", got)
	}
}

// One bad line refuses the file, before anything is written; salvage lists it and
// restores the rest.
func TestBadLines(t *testing.T) {
	store := inMemory(t)
	populate(t, store, 20)
	lines := bytes.SplitAfter(save(t, store, archive.BackupOptions{Format: archive.FormatLines}), []byte("\n"))
	total := len(records(t, store))
	for name, bad := range map[string]string{
		"cut short":        string(lines[3][:len(lines[3])/2]),
		"no object":        `[1]`,
		"no JSON":          "id: x",
		"no user":          `{"id":"made-by-hand-0001","createdAt":"2026-01-01T00:00:00Z","expiresAt":"2026-01-01T00:00:00Z"}`,
		"an unknown kind":  `{"kind":"ghost","id":"made-by-hand-0001"}`,
		"a record of lies": `{"kind":"epoch","id":"made-by-hand-0001","record":"AAAA"}`,
	} {
		file := bytes.Join(append(append([][]byte{}, lines[:3]...), append([][]byte{[]byte(bad + "\n")}, lines[3:]...)...), nil)
		target := inMemory(t)
		_, err := attempt(t, file, target, archive.OpenOptions{})
		if !errors.Is(err, archive.ErrDamaged) || !strings.Contains(err.Error(), "line 4") || len(records(t, target)) > 0 {
			t.Errorf("%s: %v", name, err)
		}
		done, err := attempt(t, file, target, archive.OpenOptions{Salvage: true})
		if err != nil || done.Failed != 1 || done.Failures[0].Line != 4 || len(records(t, target)) != total {
			t.Errorf("%s: %+v, %v", name, done, err)
		}
	}
}

// A line that says nothing new says it is of a tombstone, and is not of one.
func TestLinesThatLie(t *testing.T) {
	store := inMemory(t)
	populate(t, store, 1)
	file := string(save(t, store, archive.BackupOptions{Format: archive.FormatLines}))
	for from, to := range map[string]string{`"kind":"tombstone"`: `"kind":"epoch"`, `"kind":"epoch"`: `"kind":"tombstone"`} {
		if _, err := attempt(t, []byte(strings.ReplaceAll(file, from, to)), inMemory(t), archive.OpenOptions{}); !errors.Is(err, archive.ErrDamaged) {
			t.Errorf("%s as %s: %v", from, to, err)
		}
	}
}

const puppeteerSession = `{"id":%q,"data":{"userId":%q,"username":"john","roles":["user","admin"],"metadata":{"ip":"10.0.0.1"},` +
	`"createdAt":"2026-01-02T03:04:05.678Z","expiresAt":%q},"lastAccessedAt":"2026-01-02T04:00:00.001Z"}`

const puppeteerID = "6ba7b810-9dad-41d1-80b4-00c04fd43%03d"

// puppeteer is a backup of puppeteer-mcp of n sessions that live for long.
func puppeteer(n int) (wrapped, bare string, sessions []string) {
	for i := range n {
		sessions = append(sessions, fmt.Sprintf(puppeteerSession, fmt.Sprintf(puppeteerID, i), fmt.Sprintf("user:%d", i%3), "2099-01-02T03:04:05.678Z"))
	}
	bare = "[" + strings.Join(sessions, ",") + "]"
	return fmt.Sprintf(`{"instanceId":"my-app","storeType":"redis","sessionCount":%d,"createdAt":"2026-01-02T05:00:00.000Z","data":%s}`, n, bare), bare, sessions
}

// A backup of puppeteer-mcp comes back with its ids, times and users.
func TestPuppeteerBackup(t *testing.T) {
	wrapped, bare, _ := puppeteer(50)
	var indented bytes.Buffer
	if err := json.Indent(&indented, []byte(wrapped), "", "  "); err != nil {
		t.Fatal(err)
	}
	reordered := strings.Replace(wrapped, `"sessionCount":50,`, "", 1)
	reordered = strings.TrimSuffix(reordered, "}") + `,"sessionCount":50,"more":{"a":[1]}}` + "\n"
	for _, file := range []string{wrapped, bare, indented.String(), reordered} {
		target := inMemory(t)
		for round, want := range []int64{50, 0} {
			if done := restore(t, []byte(file), target, archive.RestoreOptions{}); done.Restored != want || done.Failed > 0 || done.Report.Format != archive.FormatPuppeteer {
				t.Errorf("round %d: %+v", round, done)
			}
		}
		got := must[perdure.Session](t)(target.Get(t.Context(), fmt.Sprintf(puppeteerID, 7)))
		shown, _ := got.Metadata.MarshalJSON()
		if got.UserID != "user:1" || got.Username != "john" || fmt.Sprint(got.Roles) != "[user admin]" || string(shown) != `{"ip":"10.0.0.1"}` ||
			got.CreatedAt.Format(time.RFC3339Nano) != "2026-01-02T03:04:05.678Z" || got.ExpiresAt.Format(time.RFC3339Nano) != "2099-01-02T03:04:05.678Z" ||
			got.LastAccessedAt.Format(time.RFC3339Nano) != "2026-01-02T04:00:00.001Z" {
			t.Errorf("%+v", got)
		}
		if found := must[[]perdure.Session](t)(target.GetByUserID(t.Context(), "user:1")); len(found) != 17 {
			t.Errorf("user:1 has %d sessions", len(found))
		}
		must[bool](t)(target.Delete(t.Context(), got.ID))
		if done := restore(t, []byte(file), target, archive.RestoreOptions{}); done.LeftDead != 1 {
			t.Errorf("after a logout: %+v", done)
		}
	}
}

// Sessions of it that cannot be read are listed, and the rest goes on.
func TestPuppeteerSessionsThatCannotBeRead(t *testing.T) {
	_, _, good := puppeteer(3)
	file := "[" + strings.Join([]string{
		good[0], `null`, `{"id":"short","data":{}}`, strings.Replace(good[1], `"user:1"`, `""`, 1), strings.Replace(good[1], `"2099-01-02T03:04:05.678Z"`, `"soon"`, 1),
		strings.Replace(good[1], `["user","admin"]`, `"user"`, 1), strings.Replace(good[1], `,"expiresAt":"2099-01-02T03:04:05.678Z"`, "", 1), good[2],
		strings.Replace(strings.Replace(good[1], `"2026-01-02T03:04:05.678Z"`, "1767323045678", 1), `"2099-01-02T03:04:05.678Z"`, "4070990645678", 1),
	}, ",\n") + "]"
	target := inMemory(t)
	done := restore(t, []byte(file), target, archive.RestoreOptions{})
	if done.Restored != 3 || done.Failed != 6 || len(done.Failures) != 6 || done.Failures[0].Line != 2 || done.Failures[1].ID != "short" {
		t.Errorf("%+v", done)
	}
	for _, f := range done.Failures {
		if f.Reason == "" || strings.Contains(f.Reason, "john") {
			t.Errorf("%+v", f)
		}
	}
}

// What is wrong with a file is told without a word of what is in it.
func TestErrorsHoldNoPayload(t *testing.T) {
	const line = `{"id":"6ba7b810-9dad-41d1-80b4-00c04fd43000","userId":"u","createdAt":"2026-01-02T03:04:05.678Z","expiresAt":"2099-01-02T03:04:05.678Z"}`
	_, _, good := puppeteer(1)
	for _, file := range []string{
		strings.Replace(line, `"2026-01-02T03:04:05.678Z"`, `"hunter2"`, 1), strings.Replace(line, `"u"`, `4711`, 1), strings.Replace(line, `"u"`, `"u","metadata":"hunter2"`, 1),
		"[" + strings.Replace(good[0], `"2099-01-02T03:04:05.678Z"`, `"hunter2"`, 1) + "]", "[" + strings.Replace(good[0], `"user:0"`, `4711`, 1) + "]",
		`{"sessionCount":4711.5,"data":[]}`, `{"data":[` + strings.Replace(good[0], `"john"`, `hunter2`, 1) + `]}`,
	} {
		f, err := archive.Open(strings.NewReader(file), archive.OpenOptions{})
		if err != nil {
			t.Fatal(err)
		}
		report, err := f.Verify(t.Context(), nil)
		told := fmt.Sprint(err, report.Refusals)
		if err == nil && report.Refused != 1 || strings.Contains(told, "hunter2") || strings.Contains(told, "4711") || strings.Contains(told, "'h'") {
			t.Errorf("%s\nis told as %s", file, told)
		}
	}
}

// A backup of puppeteer-mcp that was cut or does not add up is refused.
func TestDamagedPuppeteerBackup(t *testing.T) {
	wrapped, bare, _ := puppeteer(4)
	for name, file := range map[string]string{"count": strings.Replace(wrapped, `"sessionCount":4`, `"sessionCount":5`, 1), "twice": wrapped + wrapped, "data twice": strings.TrimSuffix(wrapped, "}") + `,"data":[]}`} {
		if _, err := attempt(t, []byte(file), inMemory(t), archive.OpenOptions{}); !errors.Is(err, archive.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, whole := range []string{wrapped, bare} {
		for i := range len(whole) - 1 {
			target := inMemory(t)
			if _, err := attempt(t, []byte(whole[:i]), target, archive.OpenOptions{}); !errors.Is(err, archive.ErrDamaged) || len(records(t, target)) > 0 {
				t.Fatalf("cut at %d: %v %q", i, err, whole[:i])
			}
			target.Close()
		}
	}
	target := inMemory(t)
	done, err := attempt(t, []byte(wrapped[:len(wrapped)*3/4]), target, archive.OpenOptions{Salvage: true})
	if n := len(records(t, target)); err != nil || n != 2 || done.Failed != 1 {
		t.Errorf("salvage brought back %d, %+v, %v", n, done, err)
	}
}

// TestNothingToBackUp: a backup of an empty store is whole, and restored, in either
// format; a file of no bytes at all is none.
func TestNothingToBackUp(t *testing.T) {
	for _, format := range []archive.Format{archive.FormatArchive, archive.FormatLines} {
		for name, o := range map[string]archive.BackupOptions{"plain": {}, "encrypted": {Recipients: []age.Recipient{key(t).Recipient()}}} {
			o.Format = format
			identity := key(t)
			if o.Recipients != nil {
				o.Recipients = []age.Recipient{identity.Recipient()}
			}
			opened := archive.OpenOptions{Identities: []age.Identity{identity}}
			file := save(t, inMemory(t), o)
			if report, err := read(t, file, opened).Verify(t.Context(), nil); err != nil || report.Format != format || report.Found.Records() != 0 {
				t.Errorf("%s, %s: %+v, %v", format, name, report, err)
			}
			if done, err := attempt(t, file, inMemory(t), opened); err != nil || done.Restored != 0 {
				t.Errorf("%s, %s: %+v, %v", format, name, done, err)
			}
		}
	}
	if _, err := attempt(t, nil, inMemory(t), archive.OpenOptions{}); !errors.Is(err, archive.ErrDamaged) {
		t.Errorf("no bytes at all: %v", err)
	}
}

// TestTheSummaryHasTheFooterOfTheFile.
func TestTheSummaryHasTheFooterOfTheFile(t *testing.T) {
	store := inMemory(t)
	populate(t, store, 9)
	var out bytes.Buffer
	summary := must[archive.Summary](t)(archive.Backup(t.Context(), store.Backend(), &out, archive.BackupOptions{}))
	report := must[archive.Report](t)(read(t, out.Bytes(), archive.OpenOptions{}).Inspect(t.Context()))
	if summary.Footer.Frames < 2 || summary.Footer.Digest == "" || summary.Footer != *report.Footer {
		t.Errorf("the summary has %+v, the file %+v", summary.Footer, report.Footer)
	}
}
