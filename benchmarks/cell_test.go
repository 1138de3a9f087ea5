package main

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	var samples []time.Duration
	for i := range 200 {
		samples = append(samples, time.Duration(i+1))
	}
	for percent, want := range map[int]time.Duration{1: 2, 50: 100, 99: 198, 100: 200} {
		if got := percentile(samples, percent); got != want {
			t.Errorf("percentile %d is %d, not %d", percent, got, want)
		}
	}
	if got := percentile(nil, 99); got != 0 {
		t.Errorf("percentile of nothing is %d", got)
	}
}

func TestSpread(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   spread
	}{
		{nil, spread{}},
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{9, 1, 2}, spread{2, 1, 9}},
		{[]float64{4, 1, 2, 3}, spread{2.5, 1, 4}},
	} {
		if got := spreadOf(test.values); got != test.want {
			t.Errorf("spread of %v is %v, not %v", test.values, got, test.want)
		}
	}
}

func TestShareGivesAllAway(t *testing.T) {
	for n := range 20 {
		for workers := 1; workers < 8; workers++ {
			total := 0
			for i := range workers {
				total += share(n, workers, i)
			}
			if total != n {
				t.Errorf("%d of %d were shared out among %d", total, n, workers)
			}
		}
	}
}

// An operation that uses something up is called once for each thing there is.
func TestMeasureCountsOut(t *testing.T) {
	const things = 103
	used := make([]int, things)
	c := crew{goroutines: 4, duration: time.Minute}
	_, err := c.measure(t.Context(), side{limit: things, start: always(func(_ context.Context, w *worker) error {
		used[w.index+w.count*4]++
		return nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	for i, n := range used {
		if n != 1 {
			t.Errorf("thing %d was used %d times", i, n)
		}
	}
}

func TestMeasureCountsWhatTheTimeHolds(t *testing.T) {
	c := crew{goroutines: 2, duration: 200 * time.Millisecond}
	got, err := c.measure(t.Context(), side{start: always(func(context.Context, *worker) error {
		time.Sleep(time.Millisecond)
		return nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	if got.opsPerSecond <= 0 || got.opsPerSecond > 2000 { // a busy machine makes fewer
		t.Errorf("two callers with 1 ms each come to %.0f/s", got.opsPerSecond)
	}
	if got.p50 < time.Millisecond || got.p99 < got.p50 {
		t.Errorf("p50 is %v and p99 %v", got.p50, got.p99)
	}
}

func TestMeasureFailsWithTheOperation(t *testing.T) {
	c := crew{goroutines: 2, duration: time.Minute}
	_, err := c.measure(t.Context(), side{start: always(func(context.Context, *worker) error { return errWrong })})
	if !errors.Is(err, errWrong) {
		t.Errorf("the error is %v", err)
	}
}
