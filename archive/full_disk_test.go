//go:build unix

package archive_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/archive"
	"github.com/perdure/perdure/backend/local"
)

// fullDiskVariable names, for a copy of this test program, the folder to back up
// into.
const fullDiskVariable = "ARCHIVE_TEST_FULL_DISK"

func fullDiskFolder() string { return os.Getenv(fullDiskVariable) }

// On a full disk a backup fails and leaves no file. A limit on the size of files,
// in a process of its own, stands for the disk.
func TestAFullDiskLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), fullDiskVariable+"="+dir)
	var said bytes.Buffer
	c.Stdout = &said
	if err := c.Run(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(said.String(), "file too large") {
		t.Errorf("the backup said %q", &said)
	}
	folder(t, dir)
}

// writeToAFullDisk says what a backup returns, and ends the process.
func writeToAFullDisk(dir string) {
	signal.Ignore(syscall.SIGXFSZ)
	backend, err := local.Open(local.Options{})
	if err == nil {
		for i := range 200 {
			r := perdure.Record{ID: perdure.NewID(0), Body: strings.Repeat(fmt.Sprint(i), 5000), Header: perdure.Header{
				Kind: perdure.KindSession, Version: perdure.Version{Time: uint64(time.Now().UnixMilli()) << 16, Node: uint32(i)},
				Expiry: perdure.MillisOf(time.Now().Add(time.Hour)), Horizon: perdure.MillisOf(time.Now().Add(time.Hour)), User: perdure.HashUser("u"),
			}}
			backend.Apply(context.Background(), []perdure.Batch{{{Op: perdure.OpPut, Record: r}}})
		}
		err = syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1024, Max: 1024})
	}
	if err == nil {
		err = archive.WriteFile(filepath.Join(dir, "sessions.perdure"), false, func(w io.Writer) error {
			_, err := archive.Backup(context.Background(), backend, w, archive.BackupOptions{})
			return err
		})
	}
	fmt.Println(err)
	os.Exit(0)
}
