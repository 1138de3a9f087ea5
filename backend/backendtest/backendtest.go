// Package backendtest is the conformance kit for implementations of
// perdure.Backend. It checks every sentence of the contract and every law that
// a backend decides, alone or under a Store:
//
//	func TestConformance(t *testing.T) {
//		backendtest.Run(t, backendtest.Config{
//			Open: func(t testing.TB, o backendtest.Options) perdure.Backend {
//				b, err := mybackend.Open(mybackend.Options{Prefix: o.Space})
//				if err != nil {
//					t.Fatal(err)
//				}
//				return b
//			},
//			Shared: true,
//		})
//	}
//
// Each law is a subtest named for what it promises, on a fresh and empty space.
// What a backend says that it cannot do is skipped by name.
//
// The properties are checked with rapid: its flags choose how many sequences of
// operations are tried (-rapid.checks) and replay a failure (-rapid.seed).
package backendtest

import "testing"

// Run checks the backend. Its subtests are named chapter/law, so that
// `go test -run 'TestConformance/Touch/NeverCreates'` runs one of them. It
// takes some ten seconds, and less with -short.
func Run(t *testing.T, cfg Config) {
	cfg = cfg.withDefaults(t)
	for _, chapter := range chapters() {
		t.Run(chapter.name, func(t *testing.T) {
			for _, law := range chapter.laws {
				t.Run(law.name, func(t *testing.T) { law.run(t, cfg) })
			}
		})
	}
}

// law is one promise and how it is checked.
type law struct {
	name  string
	check func(*rig)
	needs need // nil: nothing that not every backend has
}

// need says what a law asks of a backend beyond the contract: it sets the
// options to open it with, or returns the Config field that is not set.
type need func(cfg *Config, o *Options) (missing string)

func (l law) run(t *testing.T, cfg Config) {
	o := Options{Space: newSpace()}
	if l.needs != nil {
		if missing := l.needs(&cfg, &o); missing != "" {
			t.Skipf("needs Config.%s", missing)
		}
	}
	l.check(newRig(t, cfg, o))
}

type chapter struct {
	name string
	laws []law
}

func chapters() []chapter {
	return []chapter{
		{"Put", putLaws()},
		{"Obstacle", obstacleLaws()},
		{"Touch", touchLaws()},
		{"Remove", removeLaws()},
		{"Batch", batchLaws()},
		{"ListUser", listLaws()},
		{"RemoveUser", revokeLaws()},
		{"Scan", scanLaws()},
		{"Sweep", sweepLaws()},
		{"Feed", feedLaws()},
		{"Keeping", keepingLaws()},
		{"Unreadable", unreadableLaws()},
		{"Context", contextLaws()},
		{"Clock", clockLaws()},
		{"Race", raceLaws()},
		{"Property", propertyLaws()},
		{"Store", storeLaws()},
	}
}
