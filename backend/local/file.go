package local

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"

	"go.etcd.io/bbolt"

	"github.com/perdure/perdure"
)

// The layout of the data file, a bbolt database. The bucket "records" holds
// every record under its id: the CRC-32C of id and encoded record, then the
// encoded record. The bucket "meta" says which layout this is, and how many
// records there are: bbolt has checksums for its two meta pages alone, and
// damage elsewhere could make a page of them vanish. (Damage to the newer meta
// page takes the file back to before its last commit.) Numbers are big-endian.
const (
	fileName      = "perdure.db"
	fileLayout    = "1"
	recordsBucket = "records"
	metaBucket    = "meta"
	layoutKey     = "layout"
	countKey      = "count"
	trialKey      = "trial" // holds nothing of use: see commit
	checksumSize  = 4
	keepBuffer    = 1 << 20
)

// ErrLocked says that another process holds the data directory. It is a
// perdure.ErrUnavailable.
var ErrLocked = fmt.Errorf("%w: held by another process", perdure.ErrUnavailable)

// ErrNoRoom says that the disk has no room for a new data file. It is a
// perdure.ErrUnavailable.
var ErrNoRoom = fmt.Errorf("%w: there is no room on the disk", perdure.ErrUnavailable)

// file is the data file. It is for one goroutine at a time.
type file struct {
	path   string
	strict bool
	db     *bbolt.DB
	handle *os.File // what db has opened
	count  uint64   // how many records it has
	failed error    // set for good once it is not known what the file holds
	buf    []byte   // the encoded records of the present commit
	size   int      // of the pages that the last commit took
	made   int      // how often it was made later than Open: at last, or anew

	reserve  int  // how large the reserve is to be; 0 for none
	reserved bool // it is there
}

// checkLayout prepares a new file and refuses one of another layout.
func (f *file) checkLayout() error {
	fresh := false
	err := f.db.View(func(tx *bbolt.Tx) error {
		if info, err := f.handle.Stat(); err != nil {
			return err
		} else if info.Size() < tx.Size() {
			return f.damaged(fmt.Sprintf("cut short at %d of %d bytes", info.Size(), tx.Size()))
		}
		first, _ := tx.Cursor().First()
		if fresh = first == nil; fresh {
			return nil
		}
		meta := tx.Bucket([]byte(metaBucket))
		if meta == nil || tx.Bucket([]byte(recordsBucket)) == nil {
			return fmt.Errorf("%w: %s is %w or not a data file of perdure; give another directory", perdure.ErrFormat, f.path, ErrDamaged)
		}
		layout := string(meta.Get([]byte(layoutKey)))
		if _, err := strconv.ParseUint(layout, 10, 16); err != nil {
			return f.damaged("its layout is no number")
		}
		if layout != fileLayout {
			return fmt.Errorf("%w: the data file %s has layout %.16q and this build reads %q; upgrade this process", perdure.ErrFormat, f.path, layout, fileLayout)
		}
		return nil
	})
	if err != nil || !fresh {
		return err
	}
	return f.create()
}

// create lays out an empty file, and makes its name durable.
func (f *file) create() error {
	err := f.layOut(f.reserve)
	if err != nil && f.reserve > 0 {
		err = f.layOut(0) // there may be room for that
	}
	dir := filepath.Dir(f.path)
	return errors.Join(err, syncDir(dir), syncDir(filepath.Dir(dir)))
}

// layOut makes the buckets, and a reserve of so many bytes.
func (f *file) layOut(reserve int) error {
	return f.db.Update(func(tx *bbolt.Tx) error {
		if _, err := tx.CreateBucket([]byte(recordsBucket)); err != nil {
			return err
		}
		meta, err := tx.CreateBucket([]byte(metaBucket))
		if err != nil {
			return err
		}
		return errors.Join(
			meta.Put([]byte(layoutKey), []byte(fileLayout)),
			meta.Put([]byte(countKey), make([]byte, 8)),
			putReserve(tx, reserve),
		)
	})
}

// each calls fn with every record, in the order of the ids, or with why it
// cannot be read.
func (f *file) each(fn func(id string, r *perdure.Record, err error)) error {
	if f.db == nil {
		return nil
	}
	err := f.guard(func() error {
		return f.db.View(func(tx *bbolt.Tx) error {
			last := ""
			err := tx.Bucket([]byte(recordsBucket)).ForEach(func(k, v []byte) error {
				id := string(k)
				if id <= last {
					return fmt.Errorf("record %.64q is out of order", id)
				}
				last = id
				f.count++
				r, err := decode(id, string(v))
				fn(id, &r, err)
				return nil
			})
			if err != nil {
				return err
			}
			var want uint64
			if count := tx.Bucket([]byte(metaBucket)).Get([]byte(countKey)); len(count) == 8 {
				want = binary.BigEndian.Uint64(count)
			}
			if f.count != want {
				return fmt.Errorf("it has %d records, and should have %d", f.count, want)
			}
			return nil
		})
	})
	if err != nil {
		return f.damaged(err)
	}
	return nil
}

// commit makes what the records are now durable, nil where there is none any
// more: all of them or none. It makes the file longer by so many records. A trial
// is so many bytes that are of no use, to see whether there is room; the next commit
// gives it back. An error is an ErrUnavailable.
func (f *file) commit(records map[string]*perdure.Record, more, trial int) error {
	err := f.alter(func(tx *bbolt.Tx) error {
		return errors.Join(f.write(tx, records, f.count+uint64(more)), f.try(tx, trial))
	})
	if cap(f.buf) > keepBuffer {
		f.buf = nil
	}
	if err == nil {
		f.count += uint64(more)
	}
	return err
}

// alter makes what is done in a transaction durable: all of it or nothing. An error is
// an ErrUnavailable.
func (f *file) alter(do func(tx *bbolt.Tx) error) error {
	if f.failed != nil {
		return f.failed
	}
	if err := f.makeLate(); err != nil {
		return err
	}
	if err := f.keepName(); err != nil {
		return err
	}
	var txid int
	err := f.guard(func() error {
		tx, err := f.db.Begin(true)
		if err != nil {
			return err
		}
		defer func() { f.size = int(tx.Stats().PageAlloc) }()
		defer tx.Rollback() // does nothing after the commit
		txid = tx.ID()
		if err := do(tx); err != nil {
			return err
		}
		return tx.Commit()
	})
	if err != nil {
		return f.undone(txid, err)
	}
	if err := f.keepName(); err != nil { // what was written may have gone with the name
		f.failed = err
		return err
	}
	return nil
}

// try puts a trial of so many bytes into the transaction, or takes the last one out.
func (f *file) try(tx *bbolt.Tx, trial int) error {
	meta := tx.Bucket([]byte(metaBucket))
	if trial > 0 {
		return meta.Put([]byte(trialKey), make([]byte, trial))
	}
	return meta.Delete([]byte(trialKey))
}

// write puts the records into the transaction, in the order of their ids.
func (f *file) write(tx *bbolt.Tx, records map[string]*perdure.Record, count uint64) (err error) {
	f.buf = f.buf[:0]
	bucket := tx.Bucket([]byte(recordsBucket))
	for _, id := range slices.Sorted(maps.Keys(records)) {
		if r := records[id]; r == nil {
			err = bucket.Delete([]byte(id))
		} else {
			start := len(f.buf)
			f.buf = encode(f.buf, r)
			err = bucket.Put([]byte(id), f.buf[start:])
		}
		if err != nil {
			return err
		}
	}
	return tx.Bucket([]byte(metaBucket)).Put([]byte(countKey), binary.BigEndian.AppendUint64(nil, count))
}

// undone is the error of a commit that failed. As a rule that has changed
// nothing, and the next may succeed. Where the file shows the commit all the
// same, its last fsync failed: what is on the disk is then anyone's guess, and
// writing on could make it worse.
func (f *file) undone(txid int, cause error) error {
	if f.failed == nil {
		f.failed = f.guard(func() error {
			return f.db.View(func(tx *bbolt.Tx) error {
				if tx.ID() >= txid {
					return errors.New("the disk did not confirm it")
				}
				return nil
			})
		})
	}
	if f.failed != nil {
		f.failed = fmt.Errorf("%w: a write to %s failed half-way (%w); check the disk and the file, then restart this process", perdure.ErrUnavailable, f.path, errors.Join(cause, f.failed))
		return f.failed
	}
	return fmt.Errorf("%w: the data file %s did not take the write, nothing was changed: %w; make room on its disk, or check it", perdure.ErrUnavailable, f.path, cause)
}

// guard turns a panic of bbolt over damaged pages, and a fault on its memory
// map (a file cut short by someone else), into an error. After one the file is
// not used again.
func (f *file) guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("damaged pages: %v", p)
			f.failed = err
		}
	}()
	return do()
}

// close releases the file. After a panic db may hold its own locks for ever; it
// is left alone then, and its memory map too, which would keep the lock on the
// file if that were not given back first.
func (f *file) close() error {
	if f.db != nil && f.failed == nil {
		return f.db.Close()
	}
	if f.handle == nil {
		return nil
	}
	return errors.Join(unlock(f.handle), f.handle.Close())
}

// encode appends the record as the file holds it.
func encode(b []byte, r *perdure.Record) []byte {
	start := len(b)
	b = append(b, make([]byte, checksumSize)...)
	b = r.Append(b)
	binary.BigEndian.PutUint32(b[start:], checksum(r.ID, b[start+checksumSize:]))
	return b
}

// decode reads what encode wrote. It returns an ErrFormat.
func decode(id, value string) (perdure.Record, error) {
	if len(value) < checksumSize || binary.BigEndian.Uint32([]byte(value[:checksumSize])) != checksum(id, []byte(value[checksumSize:])) {
		return perdure.Record{}, fmt.Errorf("%w: %.64q fails its checksum", perdure.ErrFormat, id)
	}
	return perdure.DecodeRecord(id, value[checksumSize:])
}

func checksum(id string, record []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli)
	return crc32.Update(crc32.Checksum([]byte(id), table), table, record)
}
