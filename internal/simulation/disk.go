package simulation

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// disk is where a process has its journal; several may share one.
type disk struct {
	dir    string // empty where there is none
	shared bool
	folder string // of the process that runs, in a shared directory
	copies string // where a copy is kept
}

func (d *disk) path() string { return d.dir }

// held are the folders that processes hold.
func (d *disk) held() map[string]bool {
	held := map[string]bool{}
	if !d.shared {
		return held
	}
	files, _ := filepath.Glob(filepath.Join(d.dir, "*", "perdure.db"))
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			continue
		}
		if syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB) != nil {
			held[filepath.Dir(name)] = true
		}
		f.Close()
	}
	return held
}

// hold finds out which folder a process took that has just started.
func (d *disk) hold(before map[string]bool) {
	for folder := range d.held() {
		if !before[folder] {
			d.folder = folder
		}
	}
}

// own is what is the process's alone.
func (d *disk) own() string {
	if d.shared {
		return d.folder
	}
	return d.dir
}

// freeze copies what is on the disk; to call what it returns puts that back.
func (d *disk) freeze() (restore func() error, err error) {
	own := d.own()
	if own == "" {
		return func() error { return nil }, nil
	}
	frozen := own + ".frozen"
	if err := copyTree(own, frozen); err != nil {
		return nil, err
	}
	return func() error {
		err := errors.Join(os.RemoveAll(own), os.MkdirAll(frozen, 0o700)) // nothing may have been there
		return errors.Join(err, os.Rename(frozen, own))
	}, nil
}

// copy keeps the directory as it is now.
func (d *disk) copy() error {
	if d.dir == "" || d.shared {
		return nil
	}
	return errors.Join(os.RemoveAll(d.copies), copyTree(d.dir, d.copies))
}

// back puts the directory back as it was when it was copied.
func (d *disk) back() (bool, error) {
	if _, err := os.Stat(d.copies); d.dir == "" || d.shared || err != nil {
		return false, nil
	}
	return true, errors.Join(os.RemoveAll(d.dir), copyTree(d.copies, d.dir))
}

// wipe removes the directory.
func (d *disk) wipe() error {
	if d.dir == "" || d.shared {
		return nil
	}
	return os.RemoveAll(d.dir)
}

// damage overwrites a page of the journal.
func (d *disk) damage(page int) (bool, error) {
	name := filepath.Join(d.own(), "perdure.db")
	if !d.shared {
		name = filepath.Join(d.dir, "1", "perdure.db")
	}
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	const size = 4096
	at := int64(page) % max(1, info.Size()/size)
	_, err = f.WriteAt([]byte(fmt.Sprintf("%0512d", 7)), at*size)
	return true, err
}

func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if path == from && errors.Is(err, fs.ErrNotExist) {
				return nil // it was removed
			}
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if d.IsDir() {
			return os.MkdirAll(target, 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, b, 0o600)
	})
}
