//go:build !(linux || darwin || freebsd)

package local

import (
	"os"
	"time"
)

// freeSpace is not known here.
func freeSpace(string) int64 { return -1 }

// tooWide cannot tell here.
func tooWide(string) (os.FileMode, bool) { return 0, false }

// syncDir is left to the system.
func syncDir(string) error { return nil }

// locksFirst is false: somebody may be writing to a file that is looked at.
const locksFirst = false

// lock is left to bbolt.
func lock(*os.File, time.Duration) error { return nil }

// unlock is left to closing the file.
func unlock(*os.File) error { return nil }

// quotaReached reports whether an error says that a user may take no more of a disk.
func quotaReached(error) bool { return false }
