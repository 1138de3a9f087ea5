package archive

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"reflect"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

// sample is a small archive, and its JSON lines.
func sample(tb testing.TB) (file, lines []byte) {
	tb.Helper()
	backend, err := local.Open(local.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	store, err := perdure.New(backend, perdure.Options{SweepInterval: -1})
	if err != nil {
		tb.Fatal(err)
	}
	defer store.Close()
	ctx := context.Background()
	for _, user := range []string{"a", "b", "c"} {
		if _, err := store.Create(ctx, perdure.Data{UserID: user, Metadata: map[string]any{"k": user}}); err != nil {
			tb.Fatal(err)
		}
	}
	if _, err := store.RevokeUser(ctx, "b"); err != nil {
		tb.Fatal(err)
	}
	var files [2]bytes.Buffer
	for i, format := range []Format{FormatArchive, FormatLines} {
		if _, err := Backup(ctx, backend, &files[i], BackupOptions{Format: format}); err != nil {
			tb.Fatal(err)
		}
	}
	return files[0].Bytes(), files[1].Bytes()
}

func FuzzFrame(f *testing.F) {
	file, _ := sample(f)
	for _, frame := range bytes.SplitAfter(file[preambleSize:], []byte(marker)) {
		f.Add(append([]byte(marker), frame...))
	}
	decoder, err := newDecoder()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < headSize {
			return
		}
		h, problem := readHead(b)
		if problem != "" {
			return
		}
		if stored := b[headSize:]; uint32(len(stored)) == h.stored {
			again := h
			if checksumOf(b, stored) == h.checksum && !bytes.Equal(appendFrame(nil, &again, stored), b) {
				t.Errorf("%x is not what was read", b)
			}
			if content, problem := h.content(b, decoder); problem == "" && len(content) > maxFrame {
				t.Errorf("a content of %d bytes", len(content))
			}
		}
	})
}

func FuzzRecords(f *testing.F) {
	r := perdure.Record{ID: perdure.NewID(7), Body: "body", Header: perdure.Header{Kind: perdure.KindSession}}
	f.Add(appendRecord(appendRecord(nil, &r), &r), uint32(2))
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, uint32(1))
	f.Fuzz(func(t *testing.T, content []byte, n uint32) {
		records, err := readRecords(content, n, kindSessions)
		if err != nil {
			return
		}
		var again []byte
		for i := range records {
			again = appendRecord(again, &records[i])
		}
		if back, err := readRecords(again, n, kindSessions); err != nil || !reflect.DeepEqual(back, records) {
			t.Errorf("%+v came back as %+v, %v", records, back, err)
		}
	})
}

func FuzzHeader(f *testing.F) {
	b, err := json.Marshal(Header{Source: "redis://h:1", StartedAt: time.Now(), Position: "x", Sessions: 3})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) { roundTrip(t, b, readHeader) })
}

func FuzzFooter(f *testing.F) {
	b, err := json.Marshal(Footer{Totals: Totals{Sessions: 3}, FinishedAt: time.Now(), Position: "x", Frames: 2, Digest: "00"})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) { roundTrip(t, b, readFooter) })
}

func roundTrip[T any](t *testing.T, b []byte, read func([]byte) (T, error)) {
	v, err := read(b)
	if err != nil {
		return
	}
	text, err := json.Marshal(v)
	if err != nil {
		return // a year that JSON cannot say
	}
	if again, err := read(text); err != nil || !reflect.DeepEqual(again, v) {
		t.Errorf("%+v came back as %+v, %v", v, again, err)
	}
}

func FuzzLine(f *testing.F) {
	_, lines := sample(f)
	for _, line := range bytes.Split(lines, []byte("\n")) {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		r, _, err := readLine(line, nil)
		if err != nil {
			return
		}
		var out bytes.Buffer
		l := newLines(&out, nil)
		if err := l.add(&r); err != nil {
			return // a dead record that says that it is a session
		}
		if _, err := l.end(Footer{}); err != nil {
			t.Fatal(err)
		}
		if back, _, err := readLine(out.Bytes(), nil); err != nil || back != r {
			t.Errorf("%+v came back as %+v, %v", r, back, err)
		}
	})
}

func FuzzPuppeteer(f *testing.F) {
	const session = `{"id":"6ba7b810-9dad-41d1-80b4-00c04fd43000","data":{"userId":"u","username":"n","roles":["r"],"metadata":{},` +
		`"createdAt":"2026-01-02T03:04:05.678Z","expiresAt":4070990645678},"lastAccessedAt":"2026-01-02T04:00:00.001Z"}`
	f.Add([]byte("["+session+"]"), false)
	f.Add([]byte(`{"instanceId":"a","sessionCount":1,"data":[`+session+`],"x":{}}`), true)
	f.Fuzz(func(t *testing.T, text []byte, salvage bool) {
		in := newPuppeteerReader(bytes.NewReader(text), nil, salvage)
		for {
			b, err := in.next(partAll)
			for _, r := range b.records {
				if perdure.CheckID(r.ID) != nil || r.Expiry <= 0 || r.Expiry > r.Horizon {
					t.Errorf("%+v is no session", r)
				}
			}
			if err != nil {
				if err == io.EOF && !salvage && !json.Valid(text) {
					t.Errorf("%q was taken for a whole file", text)
				}
				return
			}
		}
	})
}

// FuzzOpen gives whole files to Verify.
func FuzzOpen(f *testing.F) {
	file, lines := sample(f)
	f.Add(file, false)
	f.Add(file[:len(file)/2], true)
	f.Add(lines, true)
	f.Add([]byte("age-encryption.org/v1\n-> X25519 x\n"), false)
	f.Fuzz(func(t *testing.T, file []byte, salvage bool) {
		opened, err := Open(bytes.NewReader(file), OpenOptions{Salvage: salvage})
		if err != nil {
			return
		}
		opened.Inspect(t.Context())
		opened.Verify(t.Context(), nil)
	})
}
