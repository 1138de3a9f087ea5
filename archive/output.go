package archive

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteFile makes a file of what write writes, all of it or none: under another
// name in the same folder at first, with mode 0600, on the disk before it gets
// its own. Without replace a file that is there already is an fs.ErrExist, before
// write is called and again when it is done.
func WriteFile(path string, replace bool, write func(io.Writer) error) (err error) {
	if !replace {
		if _, err := os.Lstat(path); err == nil {
			return taken(path)
		}
	}
	folder := filepath.Dir(path)
	file, err := os.CreateTemp(folder, "."+filepath.Base(path)+".*.part") // mode 0600
	if err != nil {
		return fmt.Errorf("making a file beside %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			file.Close()
			os.Remove(file.Name())
		}
	}()
	if err := write(file); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err := publish(file.Name(), path, replace); err != nil {
		return err
	}
	return syncFolder(folder)
}

func taken(path string) error {
	return fmt.Errorf("%s: %w, and replace was not asked for", path, fs.ErrExist)
}

// publish gives the file its name. A link fails where the name is taken, which a
// rename does not; where the file system has no links, the name was free a moment
// ago.
func publish(temporary, path string, replace bool) error {
	if !replace {
		err := os.Link(temporary, path)
		if err == nil {
			return os.Remove(temporary)
		}
		if errors.Is(err, fs.ErrExist) {
			return taken(path)
		}
		if _, err := os.Lstat(path); err == nil {
			return taken(path)
		}
	}
	if err := os.Rename(temporary, path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := folder.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("writing the folder %s: %w", path, err)
	}
	return nil
}
