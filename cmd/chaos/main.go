// Command chaos breaks Redis, the network and perdure processes in every way of
// the table in internal/chaos, and says what became of the sessions. It exits
// with 1 where a promise was broken.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"time"

	"github.com/perdure/perdure/internal/chaos"
)

type command struct {
	options chaos.Options
	short   bool
	list    bool
	only    string
	span    time.Duration
	out     string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if os.Getenv(chaos.ChildVariable) != "" {
		if err := chaos.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	var c command
	flag.Uint64Var(&c.options.Seed, "seed", 1, "replays a schedule")
	flag.BoolVar(&c.short, "short", false, "play the short table")
	flag.BoolVar(&c.list, "list", false, "list the cells")
	flag.StringVar(&c.only, "run", "", "play the cells whose name matches this regular expression")
	flag.DurationVar(&c.span, "duration", 0, "go on with further seeds until this much time has passed")
	flag.StringVar(&c.out, "out", "", "write the table to this file, as Markdown")
	flag.StringVar(&c.options.Keep, "keep", "", "keep the logs of failed cells, and what was told of the sessions concerned, in this directory")
	flag.Parse()
	failed, err := c.run(ctx)
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(2)
	case failed > 0:
		os.Exit(1)
	}
}

func (c *command) run(ctx context.Context) (failed int, err error) {
	cells, err := c.cells()
	if err != nil {
		return 0, err
	}
	report := chaos.Report{Seed: c.options.Seed}
	began := time.Now()
	for round := 0; round == 0 || time.Since(began) < c.span; round++ {
		for i := range cells {
			if c.list {
				fmt.Println(cells[i].Name())
				continue
			}
			r := chaos.Run(ctx, &cells[i], c.options)
			if ctx.Err() != nil {
				return 0, ctx.Err()
			}
			fmt.Println(r.Line())
			for _, example := range r.Examples {
				fmt.Println("    ", example)
			}
			report.Add(r)
		}
		c.options.Seed++
	}
	report.Took = time.Since(began)
	sum := report.Sum()
	fmt.Printf("%d cells, %s; %d cells failed, in %s\n", len(report.Results), sum.Line(), report.Failed(), report.Took.Round(time.Second))
	return report.Failed(), c.write(&report)
}

func (c *command) cells() (chosen []chaos.Cell, err error) {
	only, err := regexp.Compile(c.only)
	if err != nil {
		return nil, err
	}
	table := chaos.Table()
	if c.short {
		table = chaos.ShortTable()
	}
	for _, cell := range table {
		if only.MatchString(cell.Name()) {
			chosen = append(chosen, cell)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no cell matches %q; -list names them", c.only)
	}
	return chosen, nil
}

func (c *command) write(report *chaos.Report) error {
	if c.out == "" || c.list {
		return nil
	}
	f, err := os.Create(c.out)
	if err != nil {
		return err
	}
	if err := report.Markdown(f); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
