//go:build !unix

package local_test

import "errors"

func writeToAFullDisk(string) error       { return errors.ErrUnsupported }
func endSessionsOnAFullDisk(string) error { return errors.ErrUnsupported }
