package chaos_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/perdure/perdure/internal/chaos"
)

func TestMain(m *testing.M) {
	if os.Getenv(chaos.ChildVariable) != "" {
		if err := chaos.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// brief plays a cell in a few seconds.
var brief = chaos.Options{Seed: 7, Before: 500 * time.Millisecond, Fault: time.Second, Work: 200, After: 200 * time.Millisecond, Pace: 40 * time.Millisecond,
	Patience: 5 * time.Minute, Answer: 2 * time.Minute, Settling: time.Minute} // the last three: a busy machine is no fault

func TestNothingIsLostAndNobodyComesBack(t *testing.T) {
	for _, cell := range chaos.ShortTable() {
		t.Run(cell.Name(), func(t *testing.T) {
			t.Parallel()
			r := chaos.Run(t.Context(), &cell, brief)
			t.Log(r.Line())
			if r.Acknowledged < 100 {
				t.Error("hardly anything was done")
			}
			if r.Failed() {
				for _, example := range r.Examples {
					t.Log(example)
				}
				t.Fail()
			}
		})
	}
}
