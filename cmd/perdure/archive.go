package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/perdure/perdure/archive"
	"github.com/perdure/perdure/internal/printable"
)

func (a *app) archive() *cobra.Command {
	c := &cobra.Command{
		Use:   "archive",
		Short: "Look into a file that backup wrote",
		Long:  "Look into a file that backup wrote, without a store.",
		Example: `  perdure archive inspect sessions.perdure
  perdure archive verify --identity backup-key.txt sessions.perdure`,
	}
	c.AddCommand(a.archiveInspect(), a.archiveVerify())
	return c
}

func (a *app) archiveInspect() *cobra.Command {
	var o opening
	c := &cobra.Command{
		Use:   "inspect FILE",
		Short: "Say what a file is",
		Long: `Say what a file is: its format, the store that it is from, when it was made and
what is in it. Of an encrypted file that no key was given for, that is for whom it
is encrypted.`,
		Example: `  perdure archive inspect sessions.perdure
  perdure archive inspect --json --identity backup-key.txt sessions.perdure`,
		Args: cobra.ExactArgs(1),
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		o.in = args[0]
		return a.withFile(&o, func(f *archive.File) error {
			report, err := f.Inspect(c.Context())
			return a.printFile(&o, &report, err)
		})
	}
	o.keys.openFlags(c)
	a.jsonFlag(c)
	return c
}

func (a *app) archiveVerify() *cobra.Command {
	var o opening
	c := &cobra.Command{
		Use:   "verify FILE",
		Short: "Check that a file can be restored",
		Long: `Read all of a file as restore does, without a store. Where it was cut short or
altered, the exit code is 7.`,
		Example: `  perdure archive verify sessions.perdure
  perdure archive verify --json --passphrase-file phrase.txt sessions.perdure`,
		Args: cobra.ExactArgs(1),
	}
	c.RunE = func(c *cobra.Command, args []string) error {
		o.in = args[0]
		return a.withFile(&o, func(f *archive.File) error {
			tell, end := a.archiving()
			report, err := f.Verify(c.Context(), tell)
			end()
			if err == nil && report.Refused > 0 {
				err = partialError{fmt.Errorf("%s sessions cannot be restored, and the rest can", humanize.Comma(report.Refused))}
			}
			return a.printFile(&o, &report, err)
		})
	}
	c.Flags().BoolVar(&o.salvage, "salvage", false, "of a damaged file, say what restore --salvage would find")
	o.keys.openFlags(c)
	a.jsonFlag(c)
	return c
}

// archiving shows the progress of what is done with a file of sessions, until end
// is called; another stage may follow.
func (a *app) archiving() (tell func(archive.Progress), end func()) {
	p := a.newProgress()
	last := p.now()
	begun := last // this stage
	return func(m archive.Progress) {
		if m.Stage != p.phase {
			begun = last
		}
		last = p.now()
		s := status{phase: m.Stage, unit: "records", done: m.Records, expected: m.Total, bytes: m.Bytes, errors: m.Failed}
		if took := last.Sub(begun).Seconds(); took > 0 && m.Records > 0 {
			s.rate = float64(m.Records) / took
			s.left = time.Duration(float64(max(0, m.Total-m.Records)) / s.rate * float64(time.Second))
		}
		p.show(s)
	}, p.end
}

// printFile prints what is known of a file, and returns what is wrong with it.
func (a *app) printFile(o *opening, r *archive.Report, problem error) error {
	if a.json {
		if err := json.NewEncoder(a.stdout).Encode(r); err != nil {
			return err
		}
	} else if err := a.printFacts(r); err != nil {
		return err
	}
	if problem != nil {
		return explain(problem, o)
	}
	return nil
}

func (a *app) printFacts(r *archive.Report) error {
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	format := string(r.Format)
	if format == "" {
		format = "encrypted for " + strings.Join(r.Recipients, ", ") + "; give --identity or --passphrase-file to see more"
	} else if r.Encrypted {
		format += ", encrypted with age"
	}
	fmt.Fprintf(w, "format\t%s\n", format)
	fmt.Fprintf(w, "size\t%s\n", humanize.IBytes(uint64(r.Size)))
	if h := r.Header; h != nil {
		fmt.Fprintf(w, "source\t%s\n", printable.Text(h.Source))
		fmt.Fprintf(w, "begun\t%s\n", moment(h.StartedAt))
	}
	totals := r.Found
	if f := r.Footer; f != nil {
		fmt.Fprintf(w, "finished\t%s\n", moment(f.FinishedAt))
		fmt.Fprintf(w, "digest\t%s\n", printable.Text(f.Digest))
		if totals.Records() == 0 {
			totals = f.Totals
		}
		totals.Unreadable = f.Unreadable
	}
	if r.Format != "" {
		printTotals(w, totals)
	}
	printLoss(w, r.Loss)
	printRefusals(w, r.Refusals)
	return w.Flush()
}
