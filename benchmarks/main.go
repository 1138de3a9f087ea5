// Command benchmarks measures perdure beside its peers: alexedwards/scs with
// goredisstore, bare go-redis, bare rueidis, a sync.Map, and a Connect handler
// that does nothing. Both sides of every comparison run in turn in one run on
// one machine, so that the ratios hold where the figures do not.
//
// It starts the Redis servers that it needs on loopback and stops them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime/pprof"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if url := os.Getenv(bystanderURL); url != "" {
		err = standBy(ctx, url, os.Stdin, os.Stdout)
	} else {
		err = run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

// options are what a run can be told.
type options struct {
	goroutines int
	sessions   int
	footprint  int
	migration  int
	rounds     int
	duration   time.Duration
	only       *regexp.Regexp
	json       bool
	cpuProfile string
}

func parse(args []string, usage io.Writer) (options, error) {
	o := options{only: regexp.MustCompile("")}
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.IntVar(&o.goroutines, "goroutines", 64, "callers at the same time")
	flags.IntVar(&o.sessions, "sessions", 20_000, "distinct sessions, accessed at random")
	flags.IntVar(&o.footprint, "footprint", 100_000, "sessions written to weigh Redis's memory")
	flags.IntVar(&o.migration, "migration", 100_000, "sessions moved from one Redis to another")
	flags.IntVar(&o.rounds, "rounds", 7, "how often all sides are measured in turn; the medians count")
	flags.DurationVar(&o.duration, "duration", 400*time.Millisecond, "time a side has in a round, after a quarter of it to warm up")
	flags.StringVar(&o.cpuProfile, "cpuprofile", "", "write a CPU profile to this `file`; its label side says who was measured")
	flags.BoolVar(&o.json, "json", false, "print JSON instead of tables")
	flags.Func("run", "only the trials whose name matches this regular `expression`", func(s string) (err error) {
		o.only, err = regexp.Compile(s)
		return err
	})
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case o.goroutines < 1 || o.rounds < 1 || o.duration <= 0:
		return o, errors.New("-goroutines, -rounds and -duration must be above zero")
	case min(o.sessions, o.footprint, o.migration) < sessionsPerUser:
		return o, fmt.Errorf("-sessions, -footprint and -migration must be at least %d, the sessions of a user", sessionsPerUser)
	}
	return o, nil
}

// stage is where trials happen: servers, clients and what is stored in them. It
// is built only if one of its trials is to run.
type stage interface {
	trials() []trial
	open(ctx context.Context) error
	close() error
}

// trial is one thing to be measured.
type trial struct {
	name string
	run  func(ctx context.Context) (findings, error)
}

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	if o.cpuProfile == "" {
		return measure(ctx, o, out, progress)
	}
	profile, err := os.Create(o.cpuProfile)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(profile); err != nil {
		return errors.Join(err, profile.Close())
	}
	err = measure(ctx, o, out, progress)
	pprof.StopCPUProfile()
	return errors.Join(err, profile.Close())
}

// measure plays all stages in turn and prints what came out.
func measure(ctx context.Context, o options, out, progress io.Writer) error {
	began := time.Now()
	report := report{Machine: inspectMachine(ctx), Setting: o.setting()}
	for _, s := range []stage{newRedisStage(o), newFootprintStage(o), newMigrationStage(o), newInvalidationStage(o), newEmbeddedStage(o), newServeStage(o), newFailoverStage(o), newOutageStage(o)} {
		found, err := play(ctx, s, o.only, progress)
		if err != nil {
			return err
		}
		report.add(found)
	}
	report.Took = time.Since(began).Round(time.Second).String()
	if o.json {
		return report.writeJSON(out)
	}
	return report.writeText(out)
}

// play runs the trials of one stage that were asked for.
func play(ctx context.Context, s stage, only *regexp.Regexp, progress io.Writer) (found findings, err error) {
	var asked []trial
	for _, t := range s.trials() {
		if only.MatchString(t.name) {
			asked = append(asked, t)
		}
	}
	if len(asked) == 0 {
		return findings{}, nil
	}
	defer func() { err = errors.Join(err, s.close()) }()
	if err := s.open(ctx); err != nil {
		return findings{}, err
	}
	for _, t := range asked {
		fmt.Fprintln(progress, "measuring:", t.name)
		f, err := t.run(ctx)
		if err != nil {
			return findings{}, fmt.Errorf("%s: %w", t.name, err)
		}
		found.add(f)
	}
	return found, nil
}

// uses is how many sessions a cell has whose operation uses them up.
func (o options) uses() int { return min(o.sessions, 10_000) }

func (o options) setting() string {
	return fmt.Sprintf("%d goroutines, %d distinct sessions, bodies of %d bytes, %d rounds of %v a side in turn, medians",
		o.goroutines, o.sessions, bodySize, o.rounds, o.duration)
}
