package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
)

// findings are what a trial brings back.
type findings struct {
	rows  []row
	costs []cost
	redis string // the version of the server, where there was one
}

func (f *findings) add(more findings) {
	f.rows = append(f.rows, more.rows...)
	f.costs = append(f.costs, more.costs...)
	f.redis = cmp.Or(f.redis, more.redis)
}

// row is one comparison, or one figure with a target of its own.
type row struct {
	Operation string  `json:"operation"`
	Perdure   figure  `json:"perdure"`
	Peer      *figure `json:"peer,omitempty"`
	Ratio     spread  `json:"ratio"` // perdure to peer, or the figure itself
	Target    target  `json:"target"`
	Reached   *bool   `json:"reached,omitempty"`
}

// figure is what one side reached.
type figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  unit    `json:"unit"`
}

type unit string

const (
	unitRate   unit = "/s"
	unitBytes  unit = "B"
	unitMillis unit = "ms"
)

func (f figure) String() string {
	if f.Unit == unitMillis {
		return fmt.Sprintf("%.2f ms", f.Value)
	}
	text := humanize.Comma(int64(math.Round(f.Value)))
	if f.Unit == unitRate {
		return text + "/s"
	}
	return text + " " + string(f.Unit)
}

// target bounds a ratio, or a figure where there is no peer. Zero is no bound.
type target struct {
	Least float64 `json:"least,omitempty"`
	Most  float64 `json:"most,omitempty"`
}

// verdict is nil where there is no target.
func (t target) verdict(value float64) *bool {
	if t == (target{}) {
		return nil
	}
	reached := value >= t.Least && (t.Most == 0 || value <= t.Most)
	return &reached
}

func (t target) String() string {
	switch {
	case t.Least > 0:
		return fmt.Sprintf(">= %g", t.Least)
	case t.Most > 0:
		return fmt.Sprintf("<= %g", t.Most)
	}
	return "-"
}

// cost is what an operation of one side takes: the evidence behind its rate.
// CPU time hardly changes when others use the machine too.
type cost struct {
	Operation  string  `json:"operation"`
	Side       string  `json:"side"`
	Rate       float64 `json:"opsPerSecond"`
	P50        float64 `json:"p50Micros"`
	P99        float64 `json:"p99Micros"`
	ClientCPU  float64 `json:"clientCPUMicros"`
	ServerCPU  float64 `json:"serverCPUMicros"`
	BothCPU    float64 `json:"bothCPUMicros"`
	Others     float64 `json:"othersShare"` // of the machine, at most
	RateSpread spread  `json:"opsPerSecondOverRounds"`
}

func costOf(operation, name string, cells []cell) cost {
	micros := func(of func(cell) time.Duration) float64 {
		return median(cells, func(c cell) float64 { return float64(of(c).Nanoseconds()) / 1e3 })
	}
	rates := make([]float64, len(cells))
	for i, c := range cells {
		rates[i] = c.opsPerSecond
	}
	return cost{
		Operation: operation, Side: name, Rate: median(cells, rate), RateSpread: spreadOf(rates),
		P50:       micros(func(c cell) time.Duration { return c.p50 }),
		P99:       micros(func(c cell) time.Duration { return c.p99 }),
		ClientCPU: micros(func(c cell) time.Duration { return c.client }),
		ServerCPU: micros(func(c cell) time.Duration { return c.server }),
		BothCPU:   micros(func(c cell) time.Duration { return c.client + c.server }),
		Others:    round(cells).others(),
	}
}

// report is all that a run says.
type report struct {
	Machine machine `json:"machine"`
	Setting string  `json:"setting"`
	Took    string  `json:"took"`
	Rows    []row   `json:"rows"`
	Costs   []cost  `json:"costs"`
}

func (r *report) add(f findings) {
	for _, row := range f.rows {
		row.Reached = row.Target.verdict(row.Ratio.Median)
		r.Rows = append(r.Rows, row)
	}
	r.Costs = append(r.Costs, f.costs...)
	r.Machine.Redis = cmp.Or(r.Machine.Redis, f.redis)
}

func (r *report) writeJSON(out io.Writer) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

func (r *report) writeText(out io.Writer) error {
	m := r.Machine
	fmt.Fprintf(out, "%s, %d cores, %s memory, %s, %s, Redis %s, load before %.1f\n",
		cmp.Or(m.CPU, "unknown CPU"), m.Cores, humanize.IBytes(m.Memory), m.Kernel, m.Go, cmp.Or(m.Redis, "not used"), m.Load)
	fmt.Fprintf(out, "%s; took %s\n\n", r.Setting, r.Took)
	if err := r.writeRows(out); err != nil {
		return err
	}
	fmt.Fprintf(out, "\nWhat an operation takes, in microseconds: latency, and CPU time on both sides of the wire. Others: the\n"+
		"share of the machine that somebody else used, at most, in the rounds that count.\n\n")
	return r.writeCosts(out)
}

func (r *report) writeRows(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "OPERATION\tPERDURE\tPEER\tPEER'S\tRATIO (MIN-MAX)\tTARGET\tREACHED")
	for _, row := range r.Rows {
		peer, peers := "-", "-"
		ratio := fmt.Sprintf("- (%.2f-%.2f)", row.Ratio.Min, row.Ratio.Max)
		if row.Peer != nil {
			peer, peers = row.Peer.Name, row.Peer.String()
			ratio = fmt.Sprintf("%.2f (%.2f-%.2f)", row.Ratio.Median, row.Ratio.Min, row.Ratio.Max)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", row.Operation, row.Perdure, peer, peers, ratio, row.Target, yes(row.Reached))
	}
	return w.Flush()
}

func yes(reached *bool) string {
	switch {
	case reached == nil:
		return "-"
	case *reached:
		return "yes"
	}
	return "NO"
}

func (r *report) writeCosts(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "operation\tside\tops/s\tp50\tp99\tclient CPU\tserver CPU\tboth\tothers\t")
	for _, c := range r.Costs {
		fmt.Fprintf(w, "%s\t%s\t%s\t%.1f\t%.1f\t%.2f\t%.2f\t%.2f\t%.0f%%\t\n",
			c.Operation, c.Side, humanize.Comma(int64(c.Rate)), c.P50, c.P99, c.ClientCPU, c.ServerCPU, c.BothCPU, 100*c.Others)
	}
	return w.Flush()
}
