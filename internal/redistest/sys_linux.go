package redistest

import (
	"bytes"
	"fmt"
	"os"
	"syscall"
)

// childAttr has the kernel kill a child whose parent is gone.
func childAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}

// checkStopped returns nil once the process has acted on its stop signal.
func checkStopped(pid int) error {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return finalError{err}
	}
	// pid (command) state ...: the command may hold anything, even brackets.
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 || len(stat) < end+3 || stat[end+2] != 'T' {
		return fmt.Errorf("process %d still runs", pid)
	}
	return nil
}
