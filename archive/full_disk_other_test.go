//go:build !unix

package archive_test

func fullDiskFolder() string { return "" }

func writeToAFullDisk(string) {}
