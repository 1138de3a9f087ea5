package local_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"

	"go.uber.org/goleak"
)

// childRole and childDir say, in the environment of a copy of this test program,
// what it is to do instead of testing, and where.
const (
	childRole = "LOCAL_TEST_ROLE"
	childDir  = "LOCAL_TEST_DIR"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(childRole); role != "" {
		roles := map[string]func(dir string) error{
			"write until killed":          writeUntilKilled,
			"hold the directory":          holdTheDirectory,
			"write to a full disk":        writeToAFullDisk,
			"end sessions on a full disk": endSessionsOnAFullDisk,
		}
		if err := roles[role](os.Getenv(childDir)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// child is another process on a data directory.
type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
	lines *bufio.Scanner // what it prints
}

func startChild(t *testing.T, role, dir string) *child {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"="+role, childDir+"="+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	return &child{cmd: cmd, stdin: stdin, lines: bufio.NewScanner(stdout)}
}
