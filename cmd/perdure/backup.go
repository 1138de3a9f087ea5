package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/perdure/perdure/archive"
	"github.com/perdure/perdure/factory"
)

// standardStream is the name of stdin and stdout where a file is asked for.
const standardStream = "-"

// saving is what the flags of backup ask for.
type saving struct {
	out     string
	format  string
	expired bool
	replace bool
	keys    keys
}

func (a *app) backup() *cobra.Command {
	var s saving
	c := &cobra.Command{
		Use:   "backup --out FILE",
		Short: "Save all sessions in a file",
		Long: `Save all sessions of a store in a file, while it is in use: who logs out while
the backup is made is logged out in it. The file is there when all of it is, with
mode 0600, and never in the place of another unless --replace says so. Records
that cannot be read are left out and named; the exit code is then 3.

Sessions are secrets: encrypt the file with --recipient or --passphrase-file. It
is then an age file.`,
		Example: `  perdure backup --out sessions.perdure --recipient age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p
  perdure backup --store redis://127.0.0.1:6379 --out - | ssh vault 'cat > sessions.perdure'
  perdure backup --format jsonl --out - | jq -r 'select(.kind == null) | .userId' | sort | uniq -c`,
		Args: cobra.NoArgs,
	}
	c.PreRunE = func(*cobra.Command, []string) error {
		switch {
		case s.out == "":
			return usageError{errors.New("--out is missing; give the file to write, or - for stdout")}
		case s.format != string(archive.FormatArchive) && s.format != string(archive.FormatLines):
			return usageError{fmt.Errorf("--format is %q; allowed: %s or %s", s.format, archive.FormatArchive, archive.FormatLines)}
		case s.out == standardStream && s.format == string(archive.FormatArchive) && isTerminal(a.stdout):
			return usageError{errors.New("an archive is not for a terminal; give --out a file, or --format jsonl")}
		}
		return nil
	}
	c.RunE = a.withStore(func(ctx context.Context, i *factory.Instance) error { return a.save(ctx, i, &s) })
	c.Flags().StringVar(&s.out, "out", "", "the file to write, or - for stdout")
	c.Flags().StringVar(&s.format, "format", string(archive.FormatArchive), "archive, or jsonl: JSON lines, for people and other tools")
	c.Flags().BoolVar(&s.expired, "expired", false, "also save sessions that have expired")
	c.Flags().BoolVar(&s.replace, "replace", false, "replace a file that is there already")
	s.keys.sealFlags(c)
	a.storeFlags(c)
	return c
}

func (a *app) save(ctx context.Context, i *factory.Instance, s *saving) error {
	recipients, err := s.keys.forWriting()
	if err != nil {
		return err
	}
	tell, end := a.archiving()
	if s.out == standardStream && a.json {
		tell = nil // the summary is all that stderr has
	}
	options := archive.BackupOptions{
		Format: archive.Format(s.format), Source: i.Address(), Expired: s.expired, Recipients: recipients, Progress: tell,
	}
	var summary archive.Summary
	write := func(out io.Writer) (err error) {
		summary, err = archive.Backup(ctx, i.Backend(), out, options)
		end()
		return err
	}
	if s.out == standardStream {
		if err := write(a.stdout); err != nil {
			return err
		}
		return a.printSaved(a.stderr, &summary, "stdout")
	}
	if err := archive.WriteFile(s.out, s.replace, write); err != nil {
		if errors.Is(err, fs.ErrExist) {
			err = fmt.Errorf("%w: give another --out, or --replace", err)
		}
		return err
	}
	return a.printSaved(a.stdout, &summary, s.out)
}

// printSaved says what is in the file. It returns an error where not all is.
func (a *app) printSaved(out io.Writer, s *archive.Summary, name string) error {
	if err := a.printSummary(out, s, name); err != nil {
		return err
	}
	if n := s.Footer.Unreadable; n > 0 {
		return partialError{fmt.Errorf("%s stored records cannot be read and are not in the backup: they are damaged, or of a later release", humanize.Comma(n))}
	}
	return nil
}

func (a *app) printSummary(out io.Writer, s *archive.Summary, name string) error {
	if a.json {
		return json.NewEncoder(out).Encode(s)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "file\t%s\n", name)
	fmt.Fprintf(w, "size\t%s\n", humanize.IBytes(uint64(s.Bytes)))
	printTotals(w, s.Footer.Totals)
	fmt.Fprintf(w, "took\t%v\n", s.Footer.FinishedAt.Sub(s.Header.StartedAt).Round(time.Millisecond))
	for _, id := range s.Unreadable {
		fmt.Fprintf(w, "not saved\t%s\n", id)
	}
	return w.Flush()
}

func printTotals(w io.Writer, t archive.Totals) {
	fmt.Fprintf(w, "sessions\t%s\n", humanize.Comma(t.Sessions))
	fmt.Fprintf(w, "tombstones\t%s\n", humanize.Comma(t.Tombstones))
	fmt.Fprintf(w, "epochs\t%s\n", humanize.Comma(t.Epochs))
	if t.Expired > 0 {
		fmt.Fprintf(w, "expired\t%s\n", humanize.Comma(t.Expired))
	}
	if t.Unreadable > 0 {
		fmt.Fprintf(w, "unreadable\t%s\n", humanize.Comma(t.Unreadable))
	}
	if t.Rescans > 0 {
		fmt.Fprintf(w, "scanned again\t%d\n", t.Rescans)
	}
}
