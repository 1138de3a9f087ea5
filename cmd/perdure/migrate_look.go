package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/perdure/perdure/migrate"
)

func (a *app) migratePlan() *cobra.Command {
	var m moving
	c := &cobra.Command{
		Use:   "plan --from ADDRESS --to ADDRESS",
		Short: "Count what would be moved",
		Long: `Count the sessions that would be moved, their bytes, how long they still live
and how many of them the target holds already. Nothing is changed.

Where some cannot be read, the exit code is 3.`,
		Example: `  perdure migrate plan --from puppeteer-mcp+redis://127.0.0.1:6379 --to redis://127.0.0.1:6380
  perdure migrate plan --from redis://127.0.0.1:6379 --to file:./perdure-data --user ada --json`,
		Args: cobra.NoArgs,
	}
	a.movingFlags(c, &m)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.between(c.Context(), &m, spareTarget, func(ctx context.Context, s stores) error { return a.plan(ctx, &m, s) })
	}
	return c
}

// planned is what migrate plan prints.
type planned struct {
	From string `json:"from"`
	To   string `json:"to"`
	migrate.Plan
	Life            []span  `json:"life"`
	Seconds         float64 `json:"seconds"`
	EstimateSeconds float64 `json:"estimateSeconds"`
}

// span is a migrate.Span in words.
type span struct {
	Below    string `json:"below"` // "1h"; empty for the last
	Sessions int64  `json:"sessions"`
}

func (a *app) plan(ctx context.Context, m *moving, s stores) error {
	o := migrate.Options{Reading: m.reading}
	end := a.telling(&o.Reading)
	tell := o.Reading.Progress
	o.Reading.Progress = func(p migrate.Progress) {
		p.Phase = "plan" // it compares as a verify does, and finds no fault
		tell(p)
	}
	plan, err := migrate.NewPlan(ctx, s.from.Source, s.to.Backend, o)
	end()
	if err != nil {
		return err
	}
	out := planned{From: s.from.Address, To: s.to.Address, Plan: plan, Seconds: plan.Duration.Seconds(), EstimateSeconds: plan.Estimate.Seconds()}
	for _, l := range plan.Life {
		out.Life = append(out.Life, span{spanName(l.Below), l.Sessions})
	}
	if err := a.printPlan(out); err != nil {
		return err
	}
	if plan.Sessions+plan.Expired+plan.Tombstones+plan.Refused == 0 {
		return a.nothing(ctx, m, s)
	}
	if plan.Refused > 0 {
		return partialError{fmt.Errorf("%s sessions cannot be read, and the rest can be moved", humanize.Comma(plan.Refused))}
	}
	return nil
}

func spanName(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d >= 24*time.Hour:
		return fmt.Sprintf("%dd", d/(24*time.Hour))
	case d >= time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dm", d/time.Minute)
}

func (a *app) printPlan(p planned) error {
	if a.json {
		return json.NewEncoder(a.stdout).Encode(p)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "from\t%s\nto\t%s\n", p.From, p.To)
	fmt.Fprintf(w, "sessions\t%s\n", humanize.Comma(p.Sessions))
	fmt.Fprintf(w, "in the target\t%s\n", humanize.Comma(p.Held))
	fmt.Fprintf(w, "expired\t%s\n", humanize.Comma(p.Expired))
	fmt.Fprintf(w, "tombstones\t%s\n", humanize.Comma(p.Tombstones))
	fmt.Fprintf(w, "cannot be read\t%s\n", humanize.Comma(p.Refused))
	fmt.Fprintf(w, "bytes\t%s\n", humanize.IBytes(uint64(max(0, p.Bytes))))
	last := ""
	for _, l := range p.Life {
		name := "still live less than " + l.Below
		if l.Below == "" {
			name = "still live " + last + " or more"
		}
		if last = l.Below; l.Sessions > 0 {
			fmt.Fprintf(w, "%s\t%s\n", name, humanize.Comma(l.Sessions))
		}
	}
	fmt.Fprintf(w, "estimate\t%v\n", time.Duration(p.EstimateSeconds*float64(time.Second)).Round(100*time.Millisecond))
	printFailures(w, p.Errors)
	return w.Flush()
}

func (a *app) migrateVerify() *cobra.Command {
	var m moving
	var o migrate.VerifyOptions
	c := &cobra.Command{
		Use:   "verify --from ADDRESS --to ADDRESS",
		Short: "Compare two stores",
		Long: `Compare what two stores hold, in both directions: sessions that are missing or
extra, that one store knows to have ended and the other holds, and those that
differ in header, body, life or the list of their user.

Where they do not hold the same, the exit code is 7.`,
		Example: `  perdure migrate verify --from redis://127.0.0.1:6379 --to redis://127.0.0.1:6380
  perdure migrate verify --from file:./perdure-data --to redis://127.0.0.1:6379 --one-way --json`,
		Args: cobra.NoArgs,
	}
	f := c.Flags()
	f.DurationVar(&o.Tolerance, "tolerance", 0, "how far expiry, last access and horizon may be off")
	f.BoolVar(&o.OneWay, "one-way", false, "let the target hold more than the source")
	f.BoolVar(&o.SkipIndex, "skip-index", false, "do not ask the target for the sessions of each user")
	a.movingFlags(c, &m)
	c.RunE = func(c *cobra.Command, _ []string) error {
		return a.between(c.Context(), &m, needTarget, func(ctx context.Context, s stores) error {
			o.Reading = m.reading
			end := a.telling(&o.Reading)
			report, err := migrate.Verify(ctx, s.from.Source, s.to.Backend, o)
			end()
			if err != nil && !errors.Is(err, migrate.ErrDiffers) {
				return err
			}
			return errors.Join(err, a.printVerified(verified{s.from.Address, s.to.Address, err == nil, report.Duration.Seconds(), report}))
		})
	}
	return c
}

// verified is what migrate verify prints.
type verified struct {
	From    string  `json:"from"`
	To      string  `json:"to"`
	Same    bool    `json:"same"`
	Seconds float64 `json:"seconds"`
	migrate.Report
}

func (a *app) printVerified(v verified) error {
	if a.json {
		return json.NewEncoder(a.stdout).Encode(v)
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "from\t%s\nto\t%s\n", v.From, v.To)
	fmt.Fprintf(w, "sessions compared\t%s\n", humanize.Comma(v.Checked))
	fmt.Fprintf(w, "and back\t%s\n", humanize.Comma(v.Reverse))
	fmt.Fprintf(w, "tombstones compared\t%s\n", humanize.Comma(v.Tombstones))
	fmt.Fprintf(w, "took\t%v\n", v.Duration.Round(time.Millisecond))
	for _, kind := range slices.Sorted(maps.Keys(v.Found)) {
		fmt.Fprintf(w, "%s\t%s\n", kind, humanize.Comma(v.Found[kind]))
	}
	if v.Refused > 0 {
		fmt.Fprintf(w, "cannot be read\t%s\n", humanize.Comma(v.Refused))
	}
	for _, d := range v.Differences {
		fmt.Fprintf(w, "%s\t%s %s\n", d.Kind, d.ID, d.Detail)
	}
	return w.Flush()
}
