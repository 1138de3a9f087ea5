package archive_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/perdure/perdure/archive"
)

// folder fails unless the folder holds these files and no others.
func folder(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries := must[[]os.DirEntry](t)(os.ReadDir(dir))
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if fmt.Sprint(names) != fmt.Sprint(want) {
		t.Errorf("the folder holds %q and not %q", names, want)
	}
}

func text(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a")
	if err := archive.WriteFile(path, false, text("one")); err != nil {
		t.Fatal(err)
	}
	if info := must[os.FileInfo](t)(os.Stat(path)); info.Mode() != 0o600 {
		t.Errorf("its mode is %v", info.Mode())
	}
	called := false
	err := archive.WriteFile(path, false, func(io.Writer) error { called = true; return nil })
	if !errors.Is(err, fs.ErrExist) || called {
		t.Errorf("over a file: %v, written %v", err, called)
	}
	if err := archive.WriteFile(path, true, func(io.Writer) error { return errors.New("no") }); err == nil || err.Error() != "no" {
		t.Error(err)
	}
	if got := string(must[[]byte](t)(os.ReadFile(path))); got != "one" {
		t.Errorf("it holds %q", got)
	}
	if err := archive.WriteFile(path, true, text("two")); err != nil {
		t.Error(err)
	}
	// Who comes first while another writes stays.
	late := filepath.Join(dir, "b")
	err = archive.WriteFile(late, false, func(w io.Writer) error {
		if err := os.WriteFile(late, []byte("first"), 0o600); err != nil {
			return err
		}
		return text("second")(w)
	})
	if !errors.Is(err, fs.ErrExist) {
		t.Error(err)
	}
	for name, want := range map[string]string{path: "two", late: "first"} {
		if got := string(must[[]byte](t)(os.ReadFile(name))); got != want {
			t.Errorf("%s holds %q and not %q", name, got, want)
		}
	}
	folder(t, dir, "a", "b")
	if err := archive.WriteFile(filepath.Join(dir, "none", "c"), false, text("")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
