package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/perdure/perdure/factory"
)

// app is one run of the command.
type app struct {
	env            []string
	stdin          io.Reader
	stdout, stderr io.Writer

	address string // --store
	json    bool   // --json
	running bool   // whether a verb was reached: errors before that are of usage
}

// run carries out a command line and returns the exit code. Data goes to stdout,
// all else to stderr.
func run(ctx context.Context, args, env []string, stdin io.Reader, stdout, stderr io.Writer) int {
	a := &app{env: env, stdin: stdin, stdout: stdout, stderr: stderr}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	verb, err := root.ExecuteContextC(ctx)
	if err != nil && !a.running {
		err = usageError{fmt.Errorf("%w\nsee: %s --help", err, verb.CommandPath())}
	}
	code := exitCode(err)
	if err != nil && code != exitInterrupted {
		fmt.Fprintf(stderr, "perdure: %v\n", err)
	}
	return code
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "perdure",
		Short: "Sessions that outlive a Redis outage, a restart and a move",
		Long: `perdure keeps user sessions on Redis or Valkey, or on an embedded store.

Run it as a daemon with "perdure serve", and look after the sessions of any
store with the other verbs. Where --store is not given, a verb works on the
store that the environment names, as serve does.`,
		Example: `  perdure serve
  perdure list --user ada
  perdure revoke --store http://127.0.0.1:8420 51Qm9vZz0xY2FkZTk2YjQ4Zj
  REDIS_URL=redis://127.0.0.1:6379 perdure doctor`,
		SilenceErrors:    true,
		SilenceUsage:     true,
		PersistentPreRun: func(*cobra.Command, []string) { a.running = true },
	}
	root.AddCommand(a.serve(), a.get(), a.list(), a.revoke(), a.stats(), a.doctor(), a.compact(), a.backup(), a.restore(), a.archive(), a.migrate(), a.switchStore(), a.version())
	root.AddCommand(topics()...)
	return root
}

// storeFlags are the flags of a verb that works on a store.
func (a *app) storeFlags(c *cobra.Command) {
	addressFlag(c, &a.address, "store", "address of the store, or @FILE; see perdure help stores (default: what the environment says)")
	a.jsonFlag(c)
}

func (a *app) jsonFlag(c *cobra.Command) {
	c.Flags().BoolVar(&a.json, "json", false, "print JSON; see perdure help json")
}

// config reads the environment. Notes say what in it has no effect.
func (a *app) config() (c factory.Config, notes []string, err error) {
	if c, notes, err = factory.FromEnvironment(a.env); err != nil {
		return c, nil, usageError{err}
	}
	return c, notes, nil
}

// interactive reports whether there is a person to ask.
func (a *app) interactive() bool { return isTerminal(a.stdin) && isTerminal(a.stderr) }

func isTerminal(stream any) bool {
	file, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}

// newLogger makes the logger that the configuration asks for.
func newLogger(to io.Writer, c factory.Config) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.LogLevel)); err != nil {
		level = slog.LevelInfo
	}
	options := &slog.HandlerOptions{Level: level}
	if c.LogFormat == "json" || c.LogFormat == "auto" && !isTerminal(to) {
		return slog.New(slog.NewJSONHandler(to, options))
	}
	return slog.New(slog.NewTextHandler(to, options))
}
