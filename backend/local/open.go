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
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/perdure/perdure"
)

// openFile opens the data file in a directory, or makes it, with a reserve of so many
// bytes. Its pages are looked at before bbolt follows them.
func openFile(dir string, lockWait time.Duration, strict bool, reserve int) (*file, error) {
	if err := os.MkdirAll(dir, 0o700); noRoom(err) {
		return nil, fmt.Errorf("%w for the data directory: %w; make room", ErrNoRoom, err)
	} else if err != nil {
		return nil, fmt.Errorf("%w: the data directory cannot be made: %w; give one that this user can write", perdure.ErrUnavailable, err)
	}
	f := &file{path: filepath.Join(dir, fileName), strict: strict, reserve: reserve}
	fresh := isEmpty(f.path)
	err := f.guard(func() (err error) {
		for moved := true; moved; moved = errors.Is(err, errMoved) {
			if err = f.make(lockWait); err != nil {
				return err
			}
			f.db, err = openDB(f.path, lockWait, &f.handle, func(handle *os.File) error { return f.look(handle, lockWait, strict) })
		}
		if err != nil {
			return err
		}
		if err := f.checkLayout(); err != nil {
			return err
		}
		return f.findReserve()
	})
	if err != nil {
		if fresh && noRoom(err) {
			_ = os.Remove(f.path) // what there is of it is no data file
		}
		f.close() // the error of opening says more
		return nil, f.openError(dir, err)
	}
	return f, nil
}

// errMoved says that who held a file has put another in its place before giving it up.
var errMoved = errors.New("another file has taken its name")

// look locks the file that was opened and refuses one that is damaged.
func (f *file) look(handle *os.File, lockWait time.Duration, strict bool) error {
	if err := lock(handle, lockWait); err != nil {
		return err
	}
	if !f.named() {
		return errMoved
	}
	if info, err := handle.Stat(); err == nil && info.Size() == 0 {
		return f.damaged("it is empty")
	}
	if err := checkFile(handle, strict); err != nil && locksFirst {
		return f.damaged(err)
	}
	return nil
}

// make makes the file where there is none. It gets its name once it is whole: a file of
// no bytes is never one that a start was about to make, but what is left of one.
func (f *file) make(lockWait time.Duration) error {
	if _, err := os.Stat(f.path); !errors.Is(err, fs.ErrNotExist) {
		return nil // whatever there is is opened, or refused
	}
	fresh := file{path: f.path + ".new", reserve: f.reserve}
	if err := fresh.start(lockWait); err != nil {
		if _, made := os.Stat(f.path); made == nil {
			return nil // another process came first
		}
		if noRoom(err) {
			_ = os.Remove(fresh.path) // what there is of it is no data file
		}
		return err
	}
	defer os.Remove(fresh.path)
	if err := errors.Join(fresh.checkLayout(), fresh.db.Close()); err != nil {
		return err
	}
	if err := os.Link(fresh.path, f.path); err != nil && !errors.Is(err, fs.ErrExist) { // else another process came first
		return err
	}
	return syncDir(filepath.Dir(f.path))
}

// openDB opens a database. The handle is what it has opened, also where it fails.
func openDB(path string, lockWait time.Duration, handle **os.File, look func(*os.File) error) (*bbolt.DB, error) {
	return bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:      max(lockWait, time.Millisecond), // zero would wait for ever
		FreelistType: bbolt.FreelistMapType,
		NoStatistics: true,
		OpenFile: func(name string, flag int, mode os.FileMode) (_ *os.File, err error) {
			if *handle, err = os.OpenFile(name, flag, mode); err != nil {
				return nil, err
			}
			if look != nil {
				if err := look(*handle); err != nil {
					err = errors.Join(err, (*handle).Close())
					*handle = nil
					return nil, err
				}
			}
			return *handle, nil
		},
	})
}

// openError says what to do about a file that cannot be opened.
func (f *file) openError(dir string, err error) error {
	var errno syscall.Errno
	var path *fs.PathError
	switch {
	case noRoom(err):
		return fmt.Errorf("%w for the data file: %w; make room", ErrNoRoom, err)
	case errors.Is(err, perdure.ErrFormat):
		return err
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("the data directory %s: %w; stop that one, or give this one a directory of its own", dir, ErrLocked)
	case errors.As(err, &errno), errors.As(err, &path):
		return fmt.Errorf("%w: the data file cannot be opened: %w; give a directory that this user can write", perdure.ErrUnavailable, err)
	}
	return f.damaged(err)
}

func (f *file) damaged(cause any) error {
	return fmt.Errorf("%w: %w data file %s (%v); restore a backup into an empty directory, or move it away to start empty", perdure.ErrFormat, ErrDamaged, f.path, cause)
}
