package local

import (
	"errors"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// reserveBucket holds the reserve: bytes of no use, whose pages are on the disk already.
// On a full disk they are given to writes that end sessions, and to no others: nobody
// else can take them, as they could take the room of a file that is removed. It is made
// again when there is room.
const (
	reserveBucket = "reserve"
	reserveKey    = "room"
	leastReserve  = 64 << 10
	mostReserve   = 512 << 10
)

// endReserve is how much to reserve, 0 for nothing. Of a small disk not all is taken.
func (o *Options) endReserve() int {
	size := max(o.EndReserve, 0)
	if o.EndReserve < 0 {
		return 0
	}
	if size == 0 {
		size = min(max(o.MaxBytes>>11, leastReserve), mostReserve)
		if free := freeSpace(o.Dir); free >= 0 {
			size = min(size, max(free/8, leastReserve))
		}
	}
	return int(size)
}

// findReserve looks whether the file has a reserve, and of which size.
func (f *file) findReserve() error {
	return f.db.View(func(tx *bbolt.Tx) error {
		if bucket := tx.Bucket([]byte(reserveBucket)); bucket != nil {
			if n := len(bucket.Get([]byte(reserveKey))); n > 0 {
				f.reserve, f.reserved = n, true
			}
		}
		return nil
	})
}

// makeReserve sets the reserve aside. An error is an ErrUnavailable.
func (f *file) makeReserve() error {
	err := f.alter(func(tx *bbolt.Tx) error { return putReserve(tx, f.reserve) })
	f.reserved = err == nil
	return err
}

func putReserve(tx *bbolt.Tx, size int) error {
	if size == 0 {
		return nil
	}
	bucket, err := tx.CreateBucketIfNotExists([]byte(reserveBucket))
	if err != nil {
		return err
	}
	return bucket.Put([]byte(reserveKey), make([]byte, size))
}

// freeReserve gives the pages of the reserve to the writes that come next. It needs
// itself no room but what the last write has freed.
func (f *file) freeReserve() error {
	err := f.alter(func(tx *bbolt.Tx) error {
		err := tx.DeleteBucket([]byte(reserveBucket))
		if errors.Is(err, bolterrors.ErrBucketNotFound) {
			return nil
		}
		return err
	})
	f.reserved = f.reserved && err != nil
	return err
}
