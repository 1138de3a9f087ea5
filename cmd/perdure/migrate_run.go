package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/perdure/perdure/internal/printable"
	"github.com/perdure/perdure/migrate"
)

// checkpointFile is where a run says how far it is, unless told otherwise.
const checkpointFile = "perdure-migrate.checkpoint"

// runFlags are those of migrate run alone.
type runFlags struct {
	options       migrate.Options
	live, reverse bool
	dryRun        bool
}

func (a *app) migrateRun() *cobra.Command {
	var m moving
	var r runFlags
	c := &cobra.Command{
		Use:   "run --from ADDRESS --to ADDRESS",
		Short: "Move the sessions",
		Long: `Move the sessions, and then what has changed in the source meanwhile. What is
moved is merged with what the target holds. A run that is interrupted, or killed,
goes on with --resume where it was.

With --live the target is then kept in step with the source until the command is
interrupted: stop the writers, interrupt it, and once it has ended with exit code
0 start them on the target. With --reverse too, the source is kept in step with
the target as well: services can be moved one by one, and back.

Where some sessions could not be moved, the exit code is 3.`,
		Example: `  perdure migrate run --from file:./perdure-data --to redis://127.0.0.1:6379
  perdure migrate run --from connect-redis+redis://127.0.0.1:6379 --to redis://127.0.0.1:6380 --continue-on-error
  perdure migrate run --from redis://127.0.0.1:6379 --to redis://127.0.0.1:6380 --live`,
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	f.BoolVar(&r.options.SkipExisting, "skip-existing", false, "leave sessions as they are that the target holds already")
	f.BoolVar(&r.options.DeleteMigrated, "delete-migrated", false, "take sessions out of the source that the target holds")
	f.BoolVar(&r.options.ContinueOnError, "continue-on-error", false, "go on after a session that the target does not take")
	f.IntVar(&r.options.Rate, "rate", 0, "sessions a second, at most; 0 for no bound")
	f.StringVar(&r.options.Checkpoint, "checkpoint", checkpointFile, "file that says how far the run is; none: no file")
	f.BoolVar(&r.options.Resume, "resume", false, "go on where the checkpoint says")
	f.BoolVar(&r.live, "live", false, "keep the target in step until interrupted, then cut over")
	f.BoolVar(&r.reverse, "reverse", false, "with --live: keep the source in step with the target too")
	f.BoolVar(&r.options.SkipVerify, "skip-verify", false, "do not compare the stores in the end: rely on the target's own history")
	f.BoolVar(&r.dryRun, "dry-run", false, "the same as migrate plan")
	a.movingFlags(c, &m)
	check := c.PreRunE
	c.PreRunE = func(c *cobra.Command, args []string) error {
		if r.reverse && !r.live {
			return usageError{errors.New("--reverse goes with --live")}
		}
		return check(c, args)
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		if r.dryRun {
			return a.between(c.Context(), &m, spareTarget, func(ctx context.Context, s stores) error { return a.plan(ctx, &m, s) })
		}
		return a.between(c.Context(), &m, makeTarget, func(ctx context.Context, s stores) error { return a.move(ctx, c, &m, &r, s) })
	}
	return c
}

// moved is what migrate run prints.
type moved struct {
	From    string  `json:"from"`
	To      string  `json:"to"`
	Seconds float64 `json:"seconds"`
	migrate.Result
	*cutOver
}

// cutOver is what there is to say of a live migration besides.
type cutOver struct {
	Rounds       int     `json:"rounds"`
	PauseSeconds float64 `json:"pauseSeconds"`
}

func (a *app) move(ctx context.Context, c *cobra.Command, m *moving, r *runFlags, s stores) error {
	o := r.options
	if o.Checkpoint == "none" {
		o.Checkpoint = ""
	}
	o.Reading, o.Name = m.reading, m.name(s.from.Address, s.to.Address)
	o.Logger = slog.New(notes{to: a.stderr})
	end := a.telling(&o.Reading)
	out := moved{From: s.from.Address, To: s.to.Address}
	var err error
	if r.live {
		var result migrate.LiveResult
		result, err = a.live(ctx, s, r, o)
		out.Result, out.cutOver = result.Result, &cutOver{result.Rounds, result.Pause.Seconds()}
	} else {
		out.Result, err = migrate.Run(ctx, s.from.Source, s.to.Backend, o)
	}
	end()
	out.Seconds = out.Result.Duration.Seconds()
	if errors.Is(err, migrate.ErrIncomplete) {
		return errors.Join(partialError{err}, a.printMoved(out))
	}
	if err == nil {
		err = a.printMoved(out)
		if err == nil && out.Total+out.Expired+out.Tombstones == 0 {
			err = a.nothing(ctx, m, s)
		}
		return err
	}
	return a.unfinished(c, o.Checkpoint, err)
}

// unfinished adds to the error of a run that can be resumed how to do so.
func (a *app) unfinished(c *cobra.Command, checkpoint string, err error) error {
	if _, missing := os.Stat(checkpoint); checkpoint == "" || missing != nil {
		return err
	}
	advice := fmt.Sprintf("the checkpoint is %s; to go on: %s", checkpoint, resume(c))
	if exitCode(err) == exitInterrupted { // of which nothing else is said
		fmt.Fprintln(a.stderr, "perdure: interrupted; "+advice)
		return err
	}
	return fmt.Errorf("%w\n%s", err, advice)
}

// resume is the command line that goes on.
func resume(c *cobra.Command) string {
	text := "perdure migrate run"
	c.Flags().Visit(func(f *pflag.Flag) {
		if f.Name == "resume" {
			return
		}
		values := []string{f.Value.String()}
		if many, ok := f.Value.(pflag.SliceValue); ok {
			values = many.GetSlice()
		}
		for _, value := range values {
			if text += " --" + f.Name; f.Value.Type() != "bool" {
				text += " " + quote(value)
			}
		}
	})
	return text + " --resume"
}

func (a *app) printMoved(m moved) error {
	if a.json {
		return json.NewEncoder(a.stdout).Encode(m)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "from\t%s\nto\t%s\n", m.From, m.To)
	row := func(name string, n int64, always bool) {
		if n > 0 || always {
			fmt.Fprintf(w, "%s\t%s\n", name, humanize.Comma(n))
		}
	}
	row("sessions", m.Total, true)
	row("migrated", m.Migrated, true)
	row("skipped", m.Skipped, false)
	row("ended before", m.Ended, false)
	row("failed", m.Failed, true)
	row("conflicts", m.Conflicts, false)
	row("expired", m.Expired, false)
	row("tombstones", m.Tombstones, true)
	row("deleted at the source", m.Deleted, false)
	fmt.Fprintf(w, "bytes\t%s\n", humanize.IBytes(uint64(max(0, m.Bytes))))
	fmt.Fprintf(w, "took\t%v\n", m.Duration.Round(time.Millisecond))
	if m.cutOver != nil {
		fmt.Fprintf(w, "rounds\t%d\n", m.Rounds)
		fmt.Fprintf(w, "cut-over\t%v\n", time.Duration(m.PauseSeconds*float64(time.Second)).Round(time.Microsecond))
	}
	printFailures(w, m.Errors)
	return w.Flush()
}

func printFailures(w io.Writer, failures []migrate.Failure) {
	for _, f := range failures {
		fmt.Fprintf(w, "error\t%s: %s\n", printable.Text(f.ID), printable.Text(f.Reason))
	}
}

// live runs until it is interrupted: before the stores are in step that ends it,
// and then it cuts over.
func (a *app) live(interrupt context.Context, s stores, r *runFlags, o migrate.Options) (migrate.LiveResult, error) {
	if s.from.Backend == nil {
		return migrate.LiveResult{}, usageError{errors.New("--live needs a source that tells of its changes; another product's is moved while its service stands still: leave --live out")}
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(interrupt))
	defer cancel(nil)
	gate := &interruptGate{app: a, interrupt: interrupt}
	stop := context.AfterFunc(interrupt, func() {
		if !gate.isReady() {
			cancel(interrupt.Err())
		}
	})
	defer stop()
	o.Reverse = r.reverse
	return migrate.Live(ctx, s.from.Backend, s.to.Backend, gate, o)
}

// interruptGate cuts over when the command is interrupted: the writers are
// processes of their own, which their operator stops.
type interruptGate struct {
	app       *app
	interrupt context.Context

	mu    sync.Mutex
	ready bool
}

func (g *interruptGate) isReady() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ready
}

// Ready says that the stores are in step, and waits for the interrupt.
func (g *interruptGate) Ready(ctx context.Context) error {
	g.mu.Lock()
	g.ready = true
	g.mu.Unlock()
	fmt.Fprintln(g.app.stderr, "in step: stop the writers, then interrupt this command to cut over")
	select {
	case <-g.interrupt.Done():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Hold has nothing to do: the operator has stopped the writers.
func (g *interruptGate) Hold(context.Context) error { return nil }

// Release tells the operator where to start them.
func (g *interruptGate) Release(moved bool) {
	if moved {
		fmt.Fprintln(g.app.stderr, "cut over: start the writers on the target")
	} else {
		fmt.Fprintln(g.app.stderr, "not cut over: the writers stay with the source")
	}
}
