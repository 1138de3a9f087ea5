//go:build linux || darwin || freebsd

package local

import (
	"errors"
	"os"
	"syscall"
	"time"

	bolterrors "go.etcd.io/bbolt/errors"
)

// freeSpace is how many bytes this process can still write below a directory;
// negative where the system does not say.
func freeSpace(dir string) int64 {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return -1
	}
	return int64(fs.Bavail) * int64(fs.Bsize)
}

// tooWide returns the permissions of a path, and whether others than its owner
// have any.
func tooWide(path string) (os.FileMode, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, false
	}
	return info.Mode().Perm(), info.Mode().Perm()&0o077 != 0
}

// syncDir makes the names in a directory durable, as far as the file system can
// and this process may.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if errors.Is(err, os.ErrPermission) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// quotaReached reports whether an error says that a user may take no more of a disk.
func quotaReached(err error) bool { return errors.Is(err, syscall.EDQUOT) }

// locksFirst says that lock does.
const locksFirst = true

// lock takes the lock on a file that bbolt then takes again, and waits for it so long.
func lock(f *os.File, wait time.Duration) error {
	for deadline := time.Now().Add(wait); ; time.Sleep(lockRetry) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, syscall.EWOULDBLOCK):
			return err
		case !time.Now().Before(deadline):
			return bolterrors.ErrTimeout
		}
	}
}

const lockRetry = 20 * time.Millisecond

// unlock gives back the lock that bbolt takes on a file.
func unlock(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_UN) }
