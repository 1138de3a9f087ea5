package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/factory"
	"github.com/perdure/perdure/internal/printable"
)

func (a *app) stats() *cobra.Command {
	c := &cobra.Command{
		Use:   "stats",
		Short: "Count what a store holds",
		Long: `Count sessions, tombstones (of deleted sessions, kept until nothing can bring
them back) and memory.`,
		Example: `  perdure stats
  perdure stats --json --store redis://127.0.0.1:6379`,
		Args: cobra.NoArgs,
	}
	c.RunE = a.withStore(func(ctx context.Context, i *factory.Instance) error {
		stats, err := i.Stats(ctx)
		if err != nil {
			return err
		}
		if a.json {
			return json.NewEncoder(a.stdout).Encode(stats)
		}
		return a.printStats(i.Address(), stats)
	})
	a.storeFlags(c)
	return c
}

func (a *app) printStats(address string, s perdure.Stats) error {
	bound := "no bound"
	if s.MaxBytes > 0 {
		bound = "of " + humanize.IBytes(uint64(s.MaxBytes))
	}
	w := tabwriter.NewWriter(a.stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "store\t%s\n", address)
	fmt.Fprintf(w, "backend\t%s\n", s.Backend)
	fmt.Fprintf(w, "sessions\t%s\n", humanize.Comma(s.Sessions))
	fmt.Fprintf(w, "tombstones\t%s\n", humanize.Comma(s.Tombstones))
	fmt.Fprintf(w, "memory\t%s (%s)\n", humanize.IBytes(uint64(max(0, s.Bytes))), bound)
	fmt.Fprintf(w, "feed length\t%s\n", strconv.FormatInt(s.FeedLength, 10))
	for _, name := range slices.Sorted(maps.Keys(s.Details)) {
		fmt.Fprintf(w, "%s\t%s\n", name, printable.Text(s.Details[name]))
	}
	return w.Flush()
}
