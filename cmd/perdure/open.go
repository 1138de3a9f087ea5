package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/factory"
)

// withStore is the body of a verb that needs the store itself.
func (a *app) withStore(do func(context.Context, *factory.Instance) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, _ []string) error { return a.useStore(c, false, do) }
}

// useStore opens the store, which it may make, for as long as do takes.
func (a *app) useStore(c *cobra.Command, mayMake bool, do func(context.Context, *factory.Instance) error) (err error) {
	i, err := a.openStore(c, mayMake)
	if err != nil {
		if a.held(err) {
			return heldBy(err)
		}
		return a.hinted(c, nil, err)
	}
	defer func() {
		if closing := i.Close(); err == nil {
			err = closing
		}
	}()
	return a.hinted(c, nil, do(c.Context(), i))
}

// heldBy adds what to do about a store that another process has.
func heldBy(err error) error {
	return fmt.Errorf("%w\nif a daemon holds it, go through its admin port: --store http://host:port, or PERDURE_ADMIN_LISTEN as the daemon has it", err)
}

// wouldBeNew reports whether the store is one that opening it would make.
func (a *app) wouldBeNew() bool {
	address := a.address
	if address == "" {
		config, _, err := a.config()
		if err != nil {
			return false
		}
		if address, err = config.Address(); err != nil {
			return false
		}
	}
	return errors.Is(mustExist(address), fs.ErrNotExist)
}

// useEmpty is useStore of an empty store, in the place of one that is not there yet and
// is not to be made.
func (a *app) useEmpty(c *cobra.Command, _ bool, do func(context.Context, *factory.Instance) error) (err error) {
	config, _, err := a.config()
	if err != nil {
		return err
	}
	config.SweepInterval = -1
	i, err := factory.OpenAddress(c.Context(), "memory:", config, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() {
		if closing := i.Close(); err == nil {
			err = closing
		}
	}()
	return do(c.Context(), i)
}

// held reports whether opening a store may have failed because another process
// has it.
func (a *app) held(err error) bool {
	config, _, bad := a.config()
	if bad != nil || !errors.Is(err, perdure.ErrUnavailable) {
		return false
	}
	address := a.address
	if address == "" {
		if address, bad = config.Address(); bad != nil {
			return false
		}
	}
	_, file := factory.DataDirOf(address)
	return file || address == "memory:"
}

// openStore opens the store that --store names, or else the environment. It
// makes none, unless it may.
func (a *app) openStore(c *cobra.Command, mayMake bool) (*factory.Instance, error) {
	config, _, err := a.config()
	if err != nil {
		return nil, err
	}
	config.SweepInterval = -1 // a glance at a store is no time to clean it
	config.NoFallback = true  // nor to keep a copy of it
	config.ThroughDaemon = true
	address := a.address
	if address == "" {
		if address, err = config.Address(); err != nil {
			return nil, err
		}
	}
	if _, file := factory.DataDirOf(address); !file || !mayMake {
		if err := mustExist(address); err != nil {
			return nil, err
		}
	}
	return a.openAt(c.Context(), config)
}

func (a *app) openAt(ctx context.Context, config factory.Config) (*factory.Instance, error) {
	logger := slog.New(notes{to: a.stderr})
	if a.address == "" {
		return factory.Open(ctx, config, logger)
	}
	return factory.OpenAddress(ctx, a.address, config, logger)
}

// mustExist refuses the embedded stores that opening would make: an answer from
// an empty store would be a wrong one.
func mustExist(address string) error {
	dir, file := factory.DataDirOf(address)
	if !file {
		return nil
	}
	if _, err := os.Stat(filepath.Join(dir, "perdure.db")); errors.Is(err, fs.ErrNotExist) {
		return noStore{dir}
	}
	return nil
}

// noStore is the error of mustExist.
type noStore struct{ dir string }

func (e noStore) Error() string {
	return fmt.Sprintf("there is no store in %s; give another --store, or set PERDURE_DATA_DIR or REDIS_URL as the daemon has them", e.dir)
}

func (noStore) Is(target error) bool { return target == fs.ErrNotExist }

// askDaemon is the command line that asks a daemon instead.
func askDaemon(c *cobra.Command, args []string, listen string) string {
	words := []string{"perdure", c.Name(), "--store", "http://" + listen}
	c.Flags().Visit(func(f *pflag.Flag) {
		switch values, many := f.Value.(pflag.SliceValue); {
		case f.Name == "store":
		case f.Value.Type() == "bool":
			words = append(words, "--"+f.Name)
		case many:
			words = append(words, "--"+f.Name, quote(strings.Join(values.GetSlice(), ",")))
		default:
			words = append(words, "--"+f.Name, quote(f.Value.String()))
		}
	})
	for _, arg := range args {
		words = append(words, quote(arg))
	}
	return strings.Join(words, " ")
}

// quote makes a word fit for a shell.
func quote(word string) string {
	if word != "" && !strings.ContainsFunc(word, func(r rune) bool { return !strings.ContainsRune(plain, r) }) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

const plain = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.,:/@"
