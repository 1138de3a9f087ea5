package main

import (
	"fmt"
	"io"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/schollz/progressbar/v3"

	"github.com/perdure/perdure/internal/printable"
)

// status is how far a long job is.
type status struct {
	phase    string
	unit     string // what is counted; "sessions" where it does not say
	done     int64  // units of this phase
	expected int64  // about how many there will be; 0 where nobody knows
	bytes    int64
	errors   int64
	rate     float64       // units a second
	left     time.Duration // about; 0 where nobody knows
	waiting  error         // why it stands still
}

// progress shows how far a long job is: a bar on a terminal, else a line every so
// often. It is not for several goroutines.
type progress struct {
	out   io.Writer
	bars  bool
	now   func() time.Time
	phase string
	bar   *progressbar.ProgressBar // nil for lines
	next  time.Time                // when the next line is due
}

// linesEvery is how often a line is written where there is no terminal.
const linesEvery = 5 * time.Second

func (a *app) newProgress() *progress {
	return &progress{out: a.stderr, bars: isTerminal(a.stderr), now: time.Now}
}

// show takes the place of what was shown before. A new phase begins a new bar.
func (p *progress) show(s status) {
	if s.phase == "" {
		return
	}
	fresh := s.phase != p.phase
	if s.unit == "" {
		s.unit = "sessions"
	}
	if p.phase = s.phase; p.bars {
		p.draw(s, fresh)
		return
	}
	if now := p.now(); fresh || !now.Before(p.next) {
		p.next = now.Add(linesEvery)
		fmt.Fprintln(p.out, s)
	}
}

// end takes the bar away, and leaves the last line.
func (p *progress) end() {
	if p.bar != nil {
		// What cannot be drawn on a terminal is no reason to fail.
		_ = p.bar.Clear()
		p.bar = nil
	}
	p.phase = ""
}

func (p *progress) draw(s status, fresh bool) {
	if fresh {
		p.end()
		p.phase = s.phase
		most := s.expected
		if most == 0 {
			most = -1 // a spinner
		}
		p.bar = progressbar.NewOptions64(most,
			progressbar.OptionSetWriter(p.out), progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString(s.unit),
			progressbar.OptionSetPredictTime(true), progressbar.OptionSetElapsedTime(true), progressbar.OptionSetWidth(20), progressbar.OptionClearOnFinish(),
			progressbar.OptionSetSpinnerChangeInterval(0)) // it would draw beside us
	}
	if s.expected > 0 {
		p.bar.ChangeMax64(max(s.expected, s.done+1)) // it is over when the job says so
	}
	p.bar.Describe(s.phase + s.size() + ", " + s.trouble())
	_ = p.bar.Set64(s.done)
}

// trouble is what there is of errors.
func (s status) trouble() string {
	text := "no errors"
	if s.errors == 1 {
		text = "1 error"
	} else if s.errors > 1 {
		text = humanize.Comma(s.errors) + " errors"
	}
	if s.waiting != nil {
		text += "; waiting: " + printable.Text(s.waiting.Error())
	}
	return text
}

// size is how much it was so far, where that is counted.
func (s status) size() string {
	if s.bytes <= 0 {
		return ""
	}
	return ", " + humanize.IBytes(uint64(s.bytes))
}

// String is the status as a line.
func (s status) String() string {
	text := s.phase + ": " + humanize.Comma(s.done)
	if s.expected > 0 {
		text += fmt.Sprintf(" of about %s %s (%d%%)", humanize.Comma(s.expected), s.unit, min(100, 100*s.done/s.expected))
	} else {
		text += " " + s.unit
	}
	text += fmt.Sprintf("%s, %s/s", s.size(), humanize.Comma(int64(s.rate)))
	if s.left > 0 {
		text += fmt.Sprintf(", about %v left", s.left.Round(time.Second))
	}
	return text + ", " + s.trouble()
}
