package archive_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/archive"
)

// truth is what a store may hold after a restore: records of the origin.
type truth struct {
	records map[perdure.Record]bool
	empty   *perdure.Store // and stays so
}

func truthOf(t testing.TB, s *perdure.Store) truth {
	all := truth{records: map[perdure.Record]bool{}, empty: inMemory(t)}
	for _, r := range records(t, s) {
		all.records[r] = true
	}
	return all
}

// judge restores a damaged file, as it is and by salvage. The first must be
// refused and write nothing; the second may bring back only what was saved.
func (all truth) judge(t testing.TB, what string, file []byte, identities ...age.Identity) (saved int) {
	t.Helper()
	_, err := attempt(t, file, all.empty, archive.OpenOptions{Identities: identities})
	if !errors.Is(err, archive.ErrDamaged) && !errors.Is(err, archive.ErrLocked) {
		t.Errorf("%s: restored, %v", what, err)
	}
	if n := must[perdure.Stats](t)(all.empty.Stats(t.Context())); n.Sessions+n.Tombstones > 0 {
		t.Fatalf("%s: refused, and yet %+v were written", what, n)
	}
	store := inMemory(t)
	_, err = attempt(t, file, store, archive.OpenOptions{Identities: identities, Salvage: true})
	if err != nil && !errors.Is(err, archive.ErrDamaged) && !errors.Is(err, archive.ErrLocked) {
		t.Errorf("%s: salvaged, %v", what, err)
	}
	found := records(t, store)
	for _, r := range found {
		if !all.records[r] {
			t.Errorf("%s: the store holds %+v, which was never saved", what, r)
		}
	}
	store.Close()
	return len(found)
}

// Every byte of a small archive matters: one flipped bit, and it is refused. So it
// is wherever it is cut, and with anything behind its end.
func TestEveryByteOfAnArchive(t *testing.T) {
	origin := inMemory(t)
	create(t, origin, perdure.Data{UserID: "a", Metadata: map[string]any{"k": "v"}})
	must[bool](t)(origin.Delete(t.Context(), create(t, origin, perdure.Data{UserID: "b"}).ID))
	all := truthOf(t, origin)
	file := save(t, origin, archive.BackupOptions{})
	for i := range file {
		altered := slices.Clone(file)
		altered[i] ^= 1 << (i % 8)
		all.judge(t, "a flipped bit", altered)
		all.judge(t, "a cut", file[:i])
	}
	all.judge(t, "a byte more", append(slices.Clone(file), 0))
	all.judge(t, "another one behind it", append(slices.Clone(file), file...))
}

// The same, sampled over files of many frames, in the clear and encrypted.
func TestSampledBytes(t *testing.T) {
	origin := inMemory(t)
	populate(t, origin, 2000)
	all := truthOf(t, origin)
	identity := key(t)
	random := rand.New(rand.NewPCG(3, 4))
	for name, recipients := range map[string][]age.Recipient{"plain": nil, "encrypted": {identity.Recipient()}} {
		file := save(t, origin, archive.BackupOptions{Recipients: recipients})
		saved := 0
		for range 12 {
			altered := slices.Clone(file)
			altered[random.IntN(len(file))] ^= byte(1 + random.IntN(255))
			saved += all.judge(t, name+": a flipped byte", altered, identity)
			from := random.IntN(len(file))
			saved += all.judge(t, name+": a cut", file[:from], identity)
			to := from + random.IntN(len(file)-from)
			saved += all.judge(t, name+": a hole", slices.Concat(file[:from], file[to+1:]), identity)
		}
		if least := 36 * 2000 / 10; saved < least {
			t.Errorf("%s: salvage brought back %d records in all, which is below %d", name, saved, least)
		}
	}
}

// frames splits an archive at its frames.
func frames(file []byte) [][]byte {
	parts := bytes.Split(file, []byte("\xf5PdF"))
	for i := range parts[1:] {
		parts[i+1] = append([]byte("\xf5PdF"), parts[i+1]...)
	}
	return parts
}

// Frames that were moved, dropped, repeated or taken from another archive are
// refused. Salvage takes what is whole and counts the rest.
func TestFramesOutOfPlace(t *testing.T) {
	origin, other := inMemory(t), inMemory(t)
	populate(t, origin, 2000)
	populate(t, other, 2000)
	all, foreign := truthOf(t, origin), frames(save(t, other, archive.BackupOptions{}))
	parts := frames(save(t, origin, archive.BackupOptions{})) // preamble, header, frames, footer
	last := len(parts) - 1
	if len(parts) < 6 || len(foreign) != len(parts) {
		t.Fatalf("there are %d and %d parts", len(parts), len(foreign))
	}
	for name, c := range map[string]struct {
		parts [][]byte
		lost  int64
		whole bool
		says  string
	}{
		"swapped":             {swap(parts, 2, 3), 0, true, "frame 2 lies where frame 1 belongs"},
		"footer first":        {swap(parts, 1, last), 0, true, "frame 5 lies where frame 0 belongs"},
		"dropped":             {slices.Delete(slices.Clone(parts), 2, 3), 1, false, "lies where"},
		"header dropped":      {slices.Delete(slices.Clone(parts), 1, 2), 1, true, "frame 1 lies where frame 0"},
		"footer dropped":      {parts[:last], 0, true, "cut short"},
		"repeated":            {slices.Insert(slices.Clone(parts), 3, parts[2]), 0, true, "frame 1 lies where frame 2"},
		"header repeated":     {slices.Insert(slices.Clone(parts), 2, parts[1]), 0, true, "frame 0 lies where"},
		"footer repeated":     {append(slices.Clone(parts), parts[last]), 0, true, "follows its last"},
		"of another archive":  {slices.Insert(slices.Clone(parts), 3, foreign[3]), 0, true, "another archive"},
		"replaced":            {slices.Replace(slices.Clone(parts), 3, 4, foreign[3]), 1, false, "another archive"},
		"footer of another":   {slices.Replace(slices.Clone(parts), last, last+1, foreign[last]), 0, true, "another archive"},
		"preamble of nothing": {parts[1:], 0, true, "neither"},
	} {
		file := bytes.Join(c.parts, nil)
		saved := all.judge(t, name, file)
		if (saved == len(all.records)) != c.whole || saved < len(all.records)/3 {
			t.Errorf("%s: salvage brought back %d of %d", name, saved, len(all.records))
		}
		if _, err := attempt(t, file, inMemory(t), archive.OpenOptions{}); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v does not say that %s", name, err, c.says)
		}
		report, err := read(t, file, archive.OpenOptions{Salvage: true}).Verify(t.Context(), nil)
		if err != nil || report.Loss.Frames != c.lost {
			t.Errorf("%s: %+v, %v", name, report.Loss, err)
		}
	}
}

// A whole file loses nothing by salvage.
func TestSalvageOfAWholeFile(t *testing.T) {
	origin := inMemory(t)
	populate(t, origin, 20)
	for _, format := range []archive.Format{archive.FormatArchive, archive.FormatLines} {
		copied := inMemory(t)
		done, err := attempt(t, save(t, origin, archive.BackupOptions{Format: format}), copied, archive.OpenOptions{Salvage: true})
		if err != nil || done.Failed > 0 || done.Report.Loss != nil && *done.Report.Loss != (archive.Loss{}) {
			t.Errorf("%+v, %v", done, err)
		}
		same(t, copied, origin)
	}
}

// A chunk of an encrypted file that was altered costs the frames that it touches,
// and no more.
func TestSalvageOfAnEncryptedFile(t *testing.T) {
	origin := inMemory(t)
	populate(t, origin, 4000)
	identity := key(t)
	file := save(t, origin, archive.BackupOptions{Recipients: []age.Recipient{identity.Recipient()}})
	file[len(file)/3] ^= 1
	all := truthOf(t, origin)
	if saved := all.judge(t, "a flipped bit", file, identity); saved < len(all.records)/2 {
		t.Errorf("salvage brought back %d of %d", saved, len(all.records))
	}
	f := read(t, file, archive.OpenOptions{Salvage: true, Identities: []age.Identity{identity}})
	if report, err := f.Verify(t.Context(), nil); err != nil || report.Loss.Frames == 0 || report.Loss.Frames > 2 || report.Loss.Truncated {
		t.Errorf("%+v, %v", report.Loss, err)
	}
}

func swap(parts [][]byte, i, j int) [][]byte {
	parts = slices.Clone(parts)
	parts[i], parts[j] = parts[j], parts[i]
	return parts
}

// What is no archive, or one of another format, is refused in words.
func TestForeignFiles(t *testing.T) {
	file := save(t, inMemory(t), archive.BackupOptions{})
	later := slices.Clone(file)
	later[8] = 2
	for want, file := range map[string][]byte{
		"format 2":       later,
		"empty":          {},
		"neither":        []byte("\x1f\x8bzip and the like"),
		"is cut short":   file[:9],
		"no \"data\"":    []byte(`{"instanceId":"x"}`),
		"how is no long": []byte("age-encryption.org/v1\n"),
	} {
		store := inMemory(t)
		_, err := attempt(t, file, store, archive.OpenOptions{})
		if !errors.Is(err, archive.ErrDamaged) || !errors.Is(err, perdure.ErrFormat) || !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Errorf("%q: %v", want, err)
		}
	}
}

// A file whose disk fails is not taken for one that ends.
func TestReadErrors(t *testing.T) {
	origin := inMemory(t)
	populate(t, origin, 2000)
	file := save(t, origin, archive.BackupOptions{})
	for after := 0; after < len(file); after += len(file) / 7 {
		store := inMemory(t)
		f, err := archive.Open(&failing{ReadSeeker: bytes.NewReader(file), after: int64(after)}, archive.OpenOptions{})
		if err == nil {
			_, err = f.Restore(t.Context(), into(store), archive.RestoreOptions{})
		}
		if !errors.Is(err, io.ErrClosedPipe) || len(records(t, store)) > 0 {
			t.Errorf("after %d bytes: %v", after, err)
		}
	}
}

// failing fails to read beyond a place.
type failing struct {
	io.ReadSeeker
	after int64
}

func (f *failing) Read(p []byte) (int, error) {
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil || at >= f.after {
		return 0, io.ErrClosedPipe
	}
	return f.ReadSeeker.Read(p[:min(int64(len(p)), f.after-at)])
}
