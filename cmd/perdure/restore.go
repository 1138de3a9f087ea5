package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/archive"
	"github.com/perdure/perdure/factory"
	"github.com/perdure/perdure/internal/printable"
)

// opening is what the flags of a verb that reads a file of sessions ask for.
type opening struct {
	in      string
	salvage bool
	keys    keys
}

func (a *app) restore() *cobra.Command {
	var o opening
	var options archive.RestoreOptions
	c := &cobra.Command{
		Use:   "restore --in FILE",
		Short: "Bring sessions back from a file",
		Long: `Bring sessions back from an archive, from JSON lines or from a backup of
puppeteer-mcp, into a store that may be in use. The file is verified first: one
that was cut short or altered is refused, with exit code 7 and nothing written.

Restoring merges. It gives back what is missing, keeps what is newer in the store,
and undoes no logout. It can be repeated, and after an interruption it is.`,
		Example: `  perdure restore --in sessions.perdure --identity backup-key.txt
  perdure restore --store file:/var/lib/perdure --in sessions.perdure --dry-run
  ssh vault 'cat sessions.perdure' | perdure restore --in -`,
		Args: cobra.NoArgs,
	}
	c.RunE = func(c *cobra.Command, _ []string) error { return a.bringBack(c, &o, options) }
	c.Flags().StringVar(&o.in, "in", "", "the file to read, or - for stdin")
	c.Flags().BoolVar(&options.Overwrite, "overwrite", false, "where a session is stored, make it read as in the file, also if it is newer")
	c.Flags().BoolVar(&options.SkipExpired, "skip-expired", false, "leave out sessions that have expired")
	c.Flags().BoolVar(&options.DryRun, "dry-run", false, "write nothing, and count what would be done")
	c.Flags().BoolVar(&o.salvage, "salvage", false, "of a damaged file, restore what is whole")
	o.keys.openFlags(c)
	a.storeFlags(c)
	return c
}

// bringBack verifies the file before it opens the store, which may be new.
func (a *app) bringBack(c *cobra.Command, o *opening, options archive.RestoreOptions) error {
	tell, end := a.archiving()
	options.Progress = tell
	return a.withFile(o, func(f *archive.File) error {
		_, err := f.Verify(c.Context(), tell)
		if end(); err != nil {
			if err = explain(err, o); errors.Is(err, archive.ErrDamaged) && !o.salvage {
				err = fmt.Errorf("%w\nnothing was written; --salvage restores what is whole in it", err)
			}
			return err
		}
		use := a.useStore
		if options.DryRun && a.wouldBeNew() {
			use = a.useEmpty
		}
		return use(c, !options.DryRun, func(ctx context.Context, i *factory.Instance) error {
			done, err := f.Restore(ctx, &perdure.Merger{Backend: i.Backend(), Clock: perdure.NewClock(perdure.TimeOf(i.Backend(), nil))}, options)
			if end(); err != nil {
				return fmt.Errorf("%w\n%s sessions were restored before that; run it again: that is safe", err, humanize.Comma(done.Restored))
			}
			if err := a.printRestored(&done); err != nil {
				return err
			}
			return incomplete(&done)
		})
	})
}

// withFile opens a file of sessions for as long as do takes.
func (a *app) withFile(o *opening, do func(*archive.File) error) error {
	if o.in == "" {
		return usageError{errors.New("no file is named; give one, or - for stdin")}
	}
	identities, err := o.keys.forReading()
	if err != nil {
		return err
	}
	in, release, err := a.input(o.in)
	if err != nil {
		return err
	}
	defer release()
	f, err := archive.Open(in, archive.OpenOptions{Identities: identities, Salvage: o.salvage})
	if err != nil {
		return explain(err, o)
	}
	return do(f)
}

// input is the file, or what comes on stdin, to be read more than once.
func (a *app) input(name string) (in *os.File, release func(), err error) {
	if name == standardStream {
		return archive.Spool(a.stdin)
	}
	if in, err = os.Open(name); err != nil {
		return nil, nil, err
	}
	return in, func() { in.Close() }, nil
}

// explain names the file, and the flags that open it where it is locked.
func explain(err error, o *opening) error {
	if errors.Is(err, archive.ErrLocked) {
		return fmt.Errorf("%s: %w; give --identity FILE, or --passphrase-file FILE", o.in, err)
	}
	return fmt.Errorf("%s: %w", o.in, err)
}

// incomplete is an error where something was not restored.
func incomplete(r *archive.Restored) error {
	loss := r.Report.Loss
	switch {
	case r.Failed > 0:
		return partialError{fmt.Errorf("%s records were not restored", humanize.Comma(r.Failed))}
	case loss != nil && (loss.Frames > 0 || loss.Bytes > 0 || loss.Truncated):
		return partialError{errors.New("the file was damaged, and what is whole in it was restored")}
	}
	return nil
}

func (a *app) printRestored(r *archive.Restored) error {
	if a.json {
		return json.NewEncoder(a.stdout).Encode(r)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	if r.DryRun {
		fmt.Fprintf(w, "dry run\tnothing was written; this would be done:\n")
	}
	fmt.Fprintf(w, "restored\t%s\n", humanize.Comma(r.Restored))
	fmt.Fprintf(w, "unchanged\t%s\n", humanize.Comma(r.Unchanged))
	fmt.Fprintf(w, "left dead\t%s\n", humanize.Comma(r.LeftDead))
	fmt.Fprintf(w, "expired\t%s\n", humanize.Comma(r.Expired))
	fmt.Fprintf(w, "tombstones\t%s\n", humanize.Comma(r.Tombstones))
	fmt.Fprintf(w, "failed\t%s\n", humanize.Comma(r.Failed))
	fmt.Fprintf(w, "took\t%v\n", time.Duration(r.Took).Round(time.Millisecond))
	printLoss(w, r.Report.Loss)
	printRefusals(w, r.Failures)
	return w.Flush()
}

func printLoss(w io.Writer, l *archive.Loss) {
	if l == nil {
		return
	}
	end := ""
	if l.Truncated {
		end = ", and the end of the file"
	}
	fmt.Fprintf(w, "lost\t%d frames, %s%s\n", l.Frames, humanize.IBytes(uint64(l.Bytes)), end)
}

func printRefusals(w io.Writer, refusals []archive.Refused) {
	for _, r := range refusals {
		fmt.Fprintf(w, "not restored\t%s\t%s\n", where(&r), printable.Text(r.Reason))
	}
}

// where is the id of a record, or the line that it has.
func where(r *archive.Refused) string {
	if r.ID == "" {
		return fmt.Sprintf("line %d", r.Line)
	}
	return r.ID
}
