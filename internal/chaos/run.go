package chaos

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Options say how cells are played.
type Options struct {
	Seed uint64
	// Before, Fault and After are how long clients work before the fault, while
	// it lasts, and when all is well again. Default to 1, 3 and 0.5 seconds.
	Before, Fault, After time.Duration
	// Work is how many requests each process has to answer well during the fault,
	// once everybody who has to has noticed it: the fault lasts until then. Defaults
	// to 100.
	Work int
	// Clients is how many there are, spread over the processes, and Pace how
	// often each makes a request. Default to 16 and 4 milliseconds.
	Clients int
	Pace    time.Duration
	// Patience is how long a recovery may take, and noticing a fault. Defaults to 2
	// minutes.
	Patience time.Duration
	// Answer is how long after that a session may stay unavailable. Defaults to
	// 15 seconds: longer than perdure waits, after a loss of data, for others to
	// bring it back.
	Answer time.Duration
	// Settling is how long a change may take to reach other processes while all is
	// well. Defaults to 500 milliseconds.
	Settling time.Duration
	// Keep is a directory for the logs of cells that went wrong, and for what was told
	// of the sessions concerned. Defaults to none.
	Keep string
}

func (o Options) withDefaults() Options {
	setDefault(&o.Before, time.Second)
	setDefault(&o.Fault, 3*time.Second)
	setDefault(&o.After, 500*time.Millisecond)
	setDefault(&o.Work, 100)
	setDefault(&o.Settling, 500*time.Millisecond)
	setDefault(&o.Clients, 16)
	setDefault(&o.Pace, 4*time.Millisecond)
	setDefault(&o.Patience, 2*time.Minute)
	setDefault(&o.Answer, 15*time.Second)
	return o
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Result is how a cell went.
type Result struct {
	Cell *Cell
	Seed uint64
	Verdict
	Took time.Duration
	// Degraded is how long the slowest process took to notice, where any did;
	// Recovered how long after the fault all was well, journals merged.
	Degraded, Recovered time.Duration
	// Unnoticed is how many processes noticed nothing, of those that had to.
	Unnoticed int
	// Err is why the cell could not be played to its end.
	Err error
}

// Failed reports whether a promise was broken.
func (r *Result) Failed() bool { return r.Err != nil || r.Violations() > 0 || r.Unnoticed > 0 }

// Run plays a cell.
func Run(ctx context.Context, cell *Cell, options Options) (r Result) {
	o := options.withDefaults()
	r = Result{Cell: cell, Seed: o.Seed}
	began := time.Now()
	defer func() { r.Took = time.Since(began) }()
	dir, err := os.MkdirTemp("", "perdure-chaos-")
	if err != nil {
		r.Err = err
		return r
	}
	defer func() { r.Err = errors.Join(r.Err, r.keep(dir, o.Keep), os.RemoveAll(dir)) }()
	s, err := openStage(ctx, cell, &o, dir)
	if err != nil {
		r.Err = err
		return r
	}
	defer func() { r.Err = errors.Join(r.Err, s.close()) }()
	if r.Err = errors.Join(s.await(ctx, o.Patience), s.awaitWatchers(ctx)); r.Err != nil {
		return r
	}
	r.Err = s.play(ctx, &o)
	c := s.checker(o.Settling)
	history := s.history()
	var finals []Op
	if r.Err == nil {
		r.Err = s.finishMigration(ctx, c)
	}
	if r.Err == nil { // else what is not merged yet would count as lost
		finals = s.inspect(ctx, c, history, o.Answer)
	}
	if r.Err == nil && s.mover == nil { // else each watches another feed
		s.followed(ctx, c, history, o.Answer)
	}
	c.verdict.Strayed = len(s.strayed)
	for _, what := range s.strayed {
		c.example("of another service: %s", what)
	}
	r.Verdict = c.check(history, finals)
	if o.Keep != "" && len(c.blamed) > 0 {
		r.Err = errors.Join(r.Err, r.keepStory(ctx, c, append(history, finals...), o.Keep, s.site.url()))
	}
	r.Recovered = s.settled.Sub(s.mended)
	r.noticed(s)
	return r
}

// noticed measures how long it took to notice the fault.
func (r *Result) noticed(s *stage) {
	for i, m := range s.members {
		took, ok := m.degradedAfter(s.struck, s.settled)
		r.Degraded = max(r.Degraded, took)
		if s.must(i) && !ok {
			r.Unnoticed++
		}
	}
}

// folder makes, in a directory, that of the cell's play.
func (r *Result) folder(in string) (string, error) {
	dir := filepath.Join(in, filepath.FromSlash(r.Cell.Name()), fmt.Sprint("seed", r.Seed))
	return dir, os.MkdirAll(dir, 0o755)
}

// keepStory saves what was told of the sessions that the checker complained of.
func (r *Result) keepStory(ctx context.Context, c *checker, history []Op, to, url string) error {
	into, err := r.folder(to)
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(into, "story.jsonl"))
	if err != nil {
		return err
	}
	return errors.Join(c.tellAll(ctx, f, history, url), f.Close())
}

// keep saves the logs of a cell that went wrong.
func (r *Result) keep(dir, to string) error {
	if to == "" || !r.Failed() {
		return nil
	}
	into, err := r.folder(to)
	if err != nil {
		return err
	}
	logs, err := filepath.Glob(filepath.Join(dir, "*", "log"))
	if err != nil {
		return err
	}
	for _, log := range logs {
		text, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(into, filepath.Base(filepath.Dir(log))+".log"), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}
