package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"go.etcd.io/bbolt"

	"github.com/perdure/perdure"
)

// keepName sees to it that the file still has its name: what is written to one that
// was removed, or whose directory was, is gone with the process. Where nothing has
// taken the name, the file is made anew under it with all that it holds. An error is
// an ErrUnavailable, and nothing has changed then.
func (f *file) keepName() error {
	if f.db == nil {
		return nil
	}
	own, err := f.handle.Stat()
	if err != nil {
		return f.nameless(err)
	}
	found, err := os.Stat(f.path)
	switch {
	case err == nil && os.SameFile(own, found), errors.Is(err, fs.ErrPermission):
		return nil
	case err == nil:
		return f.nameless(errors.New("another file has taken its place"))
	}
	if err := f.guard(f.remake); err != nil {
		return f.nameless(err)
	}
	f.made++
	return nil
}

// lateFile is one that could not be made yet.
func lateFile(dir string, strict bool, reserve int) *file {
	return &file{path: filepath.Join(dir, fileName), strict: strict, reserve: reserve}
}

// makeLate makes a file that could not be made before. An error is an ErrUnavailable.
func (f *file) makeLate() error {
	if f.db != nil {
		return nil
	}
	late, err := openFile(filepath.Dir(f.path), -1, f.strict, f.reserve)
	if err != nil {
		return err
	}
	f.db, f.handle, f.reserve, f.reserved = late.db, late.handle, late.reserve, late.reserved
	f.made++
	return nil
}

// isEmpty reports whether there is nothing under a path, or an empty file.
func isEmpty(path string) bool {
	info, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0
}

// noRoom reports whether an error says that a disk, or what a user may take of it, is
// full.
func noRoom(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EFBIG) || quotaReached(err)
}

// nameless says what to do about a file that has lost its name for good.
func (f *file) nameless(cause error) error {
	return fmt.Errorf("%w: the data file %s was removed while this process runs, and cannot be made anew (%w); free its place, and let this user write there: "+
		"all that was acknowledged is still in the memory of this process", perdure.ErrUnavailable, f.path, cause)
}

// remake copies the file, which is open and has no name, to where it was. The copy
// is locked before anybody can find it there.
func (f *file) remake() error {
	dir := filepath.Dir(f.path)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	temporary := f.path + ".new"
	defer os.Remove(temporary)
	if err := f.copyTo(temporary); err != nil {
		return err
	}
	var handle *os.File
	db, err := openDB(temporary, time.Millisecond, &handle, nil)
	if err != nil {
		return err
	}
	if err := os.Link(temporary, f.path); err != nil {
		return errors.Join(err, db.Close())
	}
	if err := errors.Join(syncDir(dir), syncDir(filepath.Dir(dir))); err != nil {
		return errors.Join(err, os.Remove(f.path), db.Close())
	}
	old := f.db
	f.db, f.handle = db, handle
	_ = old.Close() // there is nothing in it any more that matters
	return nil
}

// copyTo writes all that the file holds to another, durably.
func (f *file) copyTo(path string) error {
	to, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	err = f.db.View(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(to)
		return err
	})
	return errors.Join(err, to.Sync(), to.Close())
}
