package local

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"

	"github.com/perdure/perdure"
)

// ErrDamaged says that a data file cannot be used as it is. It is a perdure.ErrFormat.
// Salvage reads what is left of it.
var ErrDamaged = damagedError{}

type damagedError struct{}

func (damagedError) Error() string        { return "damaged" }
func (damagedError) Is(target error) bool { return target == perdure.ErrFormat }

// Salvaged is what could be read of a damaged data file.
type Salvaged struct {
	// Records are those that pass their checksums. Of one id there may be several, of
	// which all but one are from before it was written again.
	Records []perdure.Record
	// Want is how many ids there were; negative where that cannot be told.
	Want int
}

// Salvage reads what is intact in the damaged data file of a directory that nobody
// holds, whatever else is not. Nothing is changed. It is for records that can be merged,
// which older ones do not harm.
func Salvage(dir string) (s Salvaged, err error) {
	s.Want = -1
	file, err := os.Open(filepath.Join(dir, fileName))
	if err != nil {
		return s, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return s, err
	}
	s.read(file, info.Size())
	return s, nil
}

func (s *Salvaged) read(r io.ReaderAt, size int64) {
	p, err := openPages(r, size)
	if err != nil {
		p.pageSize = int64(os.Getpagesize()) // what bbolt takes for a new file
	}
	free := map[uint64]bool{}
	if p.metas == 2 { // else the pages of the last commit may be on the list
		ids, _ := p.freeIDs()
		for _, id := range ids {
			free[id] = true
		}
	}
	pages := uint64(p.size / p.pageSize)
	for id := uint64(2); id < pages; id++ {
		pg, err := p.read(id, pages)
		if err != nil || pg.flags != leafFlag || free[id] {
			continue
		}
		s.leaf(&pg, 0)
		id += uint64(pg.overflow)
	}
}

// leaf takes what is intact in a leaf.
func (s *Salvaged) leaf(pg *page, depth int) {
	for i := range pg.count {
		e, err := pg.element(i)
		switch {
		case err != nil:
		case e.bucket:
			if in, err := e.inline(); err == nil && depth < maxDepth {
				s.leaf(&in, depth+1)
			}
		case string(e.key) == countKey && len(e.value) == 8:
			if n := binary.BigEndian.Uint64(e.value); n < 1<<40 {
				s.Want = max(s.Want, int(n))
			}
		default:
			id := string(e.key)
			if r, err := decode(id, string(e.value)); !errors.Is(err, perdure.ErrFormat) {
				s.Records = append(s.Records, r)
			}
		}
	}
}
