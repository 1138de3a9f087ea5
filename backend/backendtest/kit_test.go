package backendtest_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/backendtest"
	"github.com/perdure/perdure/internal/reference"
)

// config is that of the reference backend, which can do all that the kit asks
// for.
func config(b reference.Bug, stale int) backendtest.Config {
	spaces := &reference.Spaces{Bug: b, Stale: stale}
	return backendtest.Config{
		Open: func(t testing.TB, o backendtest.Options) perdure.Backend {
			return spaces.Open(o.Space, reference.Options{Now: o.Now, FeedLength: o.FeedLength, MaxBytes: o.MaxBytes})
		},
		Shared: true, Durable: true, Clock: true, Stale: stale > 0,
		FeedLength: 20, MaxBytes: 64 << 10,
		Restart: func(t testing.TB, o backendtest.Options) { spaces.Restart(o.Space) },
		Lose:    func(t testing.TB, o backendtest.Options) { spaces.Lose(o.Space) },
		Overwrite: func(t testing.TB, o backendtest.Options, id, value string) {
			spaces.Overwrite(o.Space, id, value)
		},
	}
}

func TestTheReferenceKeepsEveryLaw(t *testing.T) {
	backendtest.Run(t, config("", 0))
}

func TestTheReferenceKeepsEveryLawWithACache(t *testing.T) {
	backendtest.Run(t, config("", 3))
}

// TestTheReferenceKeepsEveryLawAlone claims none of what a backend may lack.
func TestTheReferenceKeepsEveryLawAlone(t *testing.T) {
	cfg := config("", 0)
	backendtest.Run(t, backendtest.Config{Open: cfg.Open})
}

// mutantVariable tells a process that it is to run the kit against a bug.
const mutantVariable = "BACKENDTEST_MUTANT"

// TestMutant is only run by TestEveryMutantIsCaught.
func TestMutant(t *testing.T) {
	b := reference.Bug(os.Getenv(mutantVariable))
	if b == "" {
		t.Skip("no mutant is chosen")
	}
	stale := 0
	for _, m := range reference.Mutants() {
		if m.Bug == b && m.NeedsACache() {
			stale = 3
		}
	}
	cfg := config(b, stale)
	cfg.Patience = 2 * time.Second
	backendtest.Run(t, cfg)
}

// mutantRuns is how often a law may look for a bug: some are races, which one run
// need not lose.
const mutantRuns = 20

// TestEveryMutantIsCaught runs each law against the bugs that it is there to
// catch, in a process of its own, and fails where the law finds nothing.
func TestEveryMutantIsCaught(t *testing.T) {
	for _, m := range reference.Mutants() {
		t.Run(string(m.Bug), func(t *testing.T) {
			t.Parallel()
			for run := 1; len(m.Laws) > 0; run++ {
				out := runMutant(t, m)
				if strings.Contains(out, "panic:") || strings.Contains(out, "DATA RACE") {
					t.Fatalf("the kit itself failed:\n%s", out)
				}
				m.Laws = slices.DeleteFunc(m.Laws, func(law string) bool {
					return strings.Contains(out, "--- FAIL: TestMutant/"+law+" ")
				})
				if run == mutantRuns && len(m.Laws) > 0 {
					t.Fatalf("%q do not catch it:\n%s", m.Laws, out)
				}
			}
		})
	}
}

// TestEveryLawCatchesSomething fails where a law has no bug to show that it can
// fail, or the table names a law that is not there.
func TestEveryLawCatchesSomething(t *testing.T) {
	catches := map[string]bool{}
	for _, m := range reference.Mutants() {
		for _, law := range m.Laws {
			catches[law] = true
		}
	}
	for _, law := range backendtest.Laws() {
		if !catches[law] {
			t.Errorf("no mutant shows that %s can fail", law)
		}
		delete(catches, law)
	}
	for law := range catches {
		t.Errorf("there is no law %s", law)
	}
}

// runMutant runs the laws that catch the mutant, and returns what go test
// prints.
func runMutant(t *testing.T, m reference.Mutant) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	chapters, laws := map[string]bool{}, []string{}
	for _, law := range m.Laws {
		chapter, name, _ := strings.Cut(law, "/")
		chapters[regexp.QuoteMeta(chapter)] = true
		laws = append(laws, regexp.QuoteMeta(name))
	}
	pattern := "^TestMutant$/^(" + join(chapters) + ")$/^(" + strings.Join(laws, "|") + ")$"
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run="+pattern, "-test.v", "-rapid.nofailfile", "-rapid.shrinktime=1ms")
	cmd.Env = append(os.Environ(), mutantVariable+"="+string(m.Bug))
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		t.Errorf("the kit ended with %v, want exit code 1", err)
	}
	return string(out)
}

func join(set map[string]bool) string {
	var all []string
	for s := range set {
		all = append(all, s)
	}
	return strings.Join(all, "|")
}
