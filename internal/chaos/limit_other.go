//go:build !unix

package chaos

import (
	"errors"
	"os"
)

func limitFiles(uint64) error { return errors.ErrUnsupported }

func stopProcess(*os.Process) error     { return errors.ErrUnsupported }
func continueProcess(*os.Process) error { return errors.ErrUnsupported }
