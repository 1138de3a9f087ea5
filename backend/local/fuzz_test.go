package local_test

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/local"
)

func FuzzCursors(f *testing.F) {
	b := open(f, local.Options{FeedLength: 2})
	all := newSessions(4)
	fill(f, b, all)
	page, _ := b.Scan(context.Background(), perdure.ScanQuery{Limit: 1})
	batch, _ := b.Changes(context.Background(), perdure.FromNow, 1, 0)
	name := strings.TrimSuffix(batch.Next, ".4")
	for _, cursor := range []string{
		"", "oldest", page.Next, batch.Next, name + ".0", name + ".3", name + ".5", name + ".03", name + ".+3", name + ".-1",
		name + ".18446744073709551615", name + ".18446744073709551616", strings.ToUpper(name) + ".1", "0123456789abcdef.1", ".", "00.", "00.x",
	} {
		f.Add(cursor)
	}
	f.Fuzz(func(t *testing.T, cursor string) {
		ctx := context.Background()
		batch, err := b.Changes(ctx, cursor, 10, 0)
		switch {
		case errors.Is(err, perdure.ErrFeedGap):
			if _, err := b.Changes(ctx, batch.Next, 10, 0); err != nil {
				t.Errorf("the cursor after a gap: %v", err)
			}
		case err != nil && !errors.Is(err, perdure.ErrInvalid):
			t.Errorf("Changes after %q: %v", cursor, err)
		}
		_, errScan := b.Scan(ctx, perdure.ScanQuery{After: cursor, Limit: 1})
		_, errList := b.ListUser(ctx, all[0].User, cursor, 1)
		removal := removalOf(perdure.HashUser("nobody"))
		removal.After = cursor
		_, errRemove := b.RemoveUser(ctx, removal)
		for _, err := range []error{errScan, errList, errRemove} {
			if err != nil && !errors.Is(err, perdure.ErrInvalid) {
				t.Errorf("a page after %q: %v", cursor, err)
			}
		}
	})
}

func FuzzRecordsInTheFile(f *testing.F) {
	r := newSessions(1)[0]
	value := r.Append(nil)
	f.Add(r.ID, append(checksum(r.ID, value), value...))
	f.Add(r.ID, value)
	f.Add("", []byte{})
	f.Fuzz(func(t *testing.T, id string, value []byte) {
		got, err := local.Decode(id, string(value))
		if err != nil {
			if !errors.Is(err, perdure.ErrFormat) {
				t.Errorf("%q: %v", value, err)
			}
			return
		}
		if again := local.Encode(nil, &got); string(again) != string(value) {
			t.Errorf("%q is read and written as %q", value, again)
		}
	})
}

// Whatever a file is made of, looking at it ends, and what is salvaged is well formed.
func FuzzPages(f *testing.F) {
	dir := f.TempDir()
	b, err := local.Open(local.Options{Dir: dir})
	if err != nil {
		f.Fatal(err)
	}
	for _, r := range newSessions(2) {
		if _, err := b.Apply(f.Context(), []perdure.Batch{put(r, perdure.Version{})}); err != nil {
			f.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(dataFile(dir))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole, uint32(0), uint64(0))
	f.Add(whole[:5000], uint32(3), uint64(1)<<63)
	f.Fuzz(func(t *testing.T, file []byte, at uint32, value uint64) {
		if len(file) >= 8 {
			binary.NativeEndian.PutUint64(file[int(at)%(len(file)-7):], value)
		}
		_ = local.CheckPages(file)
		for _, r := range local.SalvagePages(file) {
			if !r.Exists() {
				t.Error("nothing is salvaged as something")
			}
		}
	})
}
