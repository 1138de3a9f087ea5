package local

import (
	"errors"
	"testing"

	"github.com/perdure/perdure"
)

// ApplyOne says what Apply says, in memory and with a directory.
func TestApplyOne(t *testing.T) {
	for name, dir := range map[string]string{"memory": "", "file": t.TempDir()} {
		t.Run(name, func(t *testing.T) {
			b := openTest(t, Options{Dir: dir})
			r := session(1)
			ahead, touch := session(2), perdure.Batch{{Op: perdure.OpTouch, Record: session(3)}}
			ahead.Version.Time += 3600_000 << 16
			for _, c := range []struct {
				what  string
				batch perdure.Batch
				want  perdure.Outcome
				err   error
			}{
				{"a session", putOf(r)[0], perdure.Applied, nil},
				{"the same again", putOf(r)[0], perdure.Conflict, nil},
				{"a touch of nobody", touch, perdure.Absent, nil},
				{"one from the future", putOf(ahead)[0], 0, perdure.ErrSkew},
				{"nothing", nil, 0, perdure.ErrInvalid},
			} {
				if got, err := b.ApplyOne(t.Context(), c.batch); got != c.want || !errors.Is(err, c.err) {
					t.Errorf("%s: %v, %v", c.what, got, err)
				}
			}
			if stored, err := b.Get(t.Context(), r.ID); err != nil || stored != r {
				t.Errorf("stored: %+v, %v", stored, err)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
			if _, err := b.ApplyOne(t.Context(), putOf(r)[0]); !errors.Is(err, perdure.ErrClosed) {
				t.Errorf("once it is closed: %v", err)
			}
		})
	}
}
