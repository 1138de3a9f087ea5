package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// address is a flag for the address of a store, or for @FILE, whose first line is
// the address: what a flag says, other users of the machine can see.
type address struct {
	target *string
	typed  string
}

func addressFlag(c *cobra.Command, target *string, name, usage string) {
	c.Flags().Var(&address{target: target}, name, usage)
}

// String is what was typed, so that no command line that is printed tells a secret
// which a file keeps.
func (f *address) String() string { return f.typed }

func (f *address) Type() string { return "string" }

func (f *address) Set(typed string) (err error) {
	typed = strings.TrimSpace(typed)
	f.typed, *f.target = typed, typed
	if file, ok := strings.CutPrefix(typed, "@"); ok {
		*f.target, err = firstLine(file)
	}
	return err
}

// firstLine reads the first line of a file, which is not to be empty.
func firstLine(file string) (string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	line, _, _ := strings.Cut(string(content), "\n")
	if line = strings.TrimSpace(line); line == "" {
		return "", fmt.Errorf("the first line of %s is empty", file)
	}
	return line, nil
}
