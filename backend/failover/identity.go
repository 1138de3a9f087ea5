package failover

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// identityFile is a file beside a journal that says, in its first line, which store the
// journal is to be merged into: Options.Store of the process that wrote it.
const identityFile = "store"

// identity is what a folder says of its store: empty where it says nothing, as one from
// before there were identities.
func identity(dir string) (string, error) {
	return firstLine(filepath.Join(dir, identityFile))
}

// firstLine is that of a small file; of none it is empty.
func firstLine(path string) (string, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer file.Close()
	content, err := io.ReadAll(io.LimitReader(file, 2*maxStore))
	line, _, _ := strings.Cut(string(content), "\n")
	return strings.TrimSpace(line), err
}

// maxStore bounds Options.Store.
const maxStore = 64 << 10

// ours reports whether a folder is of the store of this process.
func ours(o *Options, dir string) bool {
	store, err := identity(dir)
	return err == nil && (store == "" || store == o.Store)
}

// identify writes into a folder, which this process holds, which store it is of.
func identify(o *Options, dir string) error {
	if store, err := identity(dir); o.Store == "" || err != nil || store == o.Store {
		return err
	}
	return replaceFile(filepath.Join(dir, identityFile), []byte(o.Store+"\n"))
}
