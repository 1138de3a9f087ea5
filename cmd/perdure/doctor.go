package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/factory"
	"github.com/perdure/perdure/internal/printable"
)

func (a *app) doctor() *cobra.Command {
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look at how a store is set up, and say what to do about it",
		Long: `Look at how a store is set up: server, mode, eviction policy, persistence,
clock, permissions, disk, and whether it takes a write now. Each finding comes with what to do about it, the worst
first. Where one is an error, which puts sessions at risk, the exit code is 1.`,
		Example: `  perdure doctor
  perdure doctor --json --store redis://127.0.0.1:6379`,
		Args: cobra.NoArgs,
	}
	c.RunE = a.withStore(func(ctx context.Context, i *factory.Instance) error {
		report, err := a.examine(ctx, i)
		if err != nil {
			return err
		}
		if err := a.printReport(report); err != nil {
			return err
		}
		return report.verdict()
	})
	a.storeFlags(c)
	return c
}

// report is what doctor found.
type report struct {
	Store    string            `json:"store"`
	Kind     string            `json:"kind"`
	Why      string            `json:"why"`
	Findings []perdure.Finding `json:"findings"`
}

func (a *app) examine(ctx context.Context, i *factory.Instance) (report, error) {
	r := report{Store: i.Address(), Kind: i.Kind(), Why: i.Why(), Findings: []perdure.Finding{}}
	findings, err := perdure.Inspect(ctx, i.Backend())
	if err != nil {
		return r, err
	}
	r.Findings = append(append(r.Findings, findings...), writes(ctx, i))
	_, notes, err := a.config()
	if err != nil {
		return r, err
	}
	for _, note := range notes {
		r.Findings = append(r.Findings, perdure.Finding{
			Severity: perdure.SeverityWarning, Name: "environment", Found: note, Advice: "unset it, or see perdure help environment",
		})
	}
	slices.SortStableFunc(r.Findings, func(x, y perdure.Finding) int { return cmp.Compare(y.Severity, x.Severity) })
	return r, nil
}

// writes is whether a login and a logout would be acknowledged now, by the way that
// they go.
func writes(ctx context.Context, i *factory.Instance) perdure.Finding {
	if err := i.Backend().Ping(ctx); err != nil {
		return perdure.Finding{Severity: perdure.SeverityError, Name: "writes", Found: "a login or a logout would fail now", Advice: err.Error()}
	}
	return perdure.Finding{Name: "writes", Found: "a login and a logout would be acknowledged now"}
}

// verdict is an error where sessions are at risk.
func (r report) verdict() error {
	if len(r.Findings) > 0 && r.Findings[0].Severity >= perdure.SeverityError {
		return errors.New("there are findings that put sessions at risk: see above")
	}
	return nil
}

func (a *app) printReport(r report) error {
	if a.json {
		return json.NewEncoder(a.stdout).Encode(r)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "store\t%s\nwhy\t%s\n", r.Store, r.Why)
	for _, f := range r.Findings {
		fmt.Fprintf(w, "%s\t%s: %s\n", f.Severity, f.Name, printable.Text(f.Found))
		if f.Advice != "" {
			fmt.Fprintf(w, "\t→ %s\n", printable.Text(f.Advice))
		}
	}
	return w.Flush()
}
