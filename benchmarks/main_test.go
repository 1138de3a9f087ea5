package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
)

// TestMain has a copy of the test program be the bystander that it is started as.
func TestMain(m *testing.M) {
	if os.Getenv(bystanderURL) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// TestAll runs every trial for a moment: the figures mean nothing, but nothing
// may fail.
func TestAll(t *testing.T) {
	if testing.Short() {
		t.Skip("starts servers")
	}
	var out bytes.Buffer
	args := []string{"-goroutines", "8", "-sessions", "400", "-footprint", "2000", "-migration", "2000", "-rounds", "1", "-duration", "20ms", "-json"}
	if err := run(t.Context(), args, &out, t.Output()); err != nil {
		t.Fatal(err)
	}
	var got report
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Rows) == 0 || len(got.Costs) == 0 || got.Machine.Redis == "" {
		t.Errorf("the report is %s", out.Bytes())
	}
}

func TestWrongFlags(t *testing.T) {
	for _, args := range []string{"-rounds 0", "-goroutines -1", "-sessions 1", "-run (", "now"} {
		if _, err := parse(strings.Fields(args), t.Output()); err == nil {
			t.Errorf("%s was taken", args)
		}
	}
}
