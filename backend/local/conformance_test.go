package local_test

import (
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/backend/backendtest"
	"github.com/perdure/perdure/backend/local"
)

func TestConformanceOfMemory(t *testing.T) {
	backendtest.Run(t, conformance(func(backendtest.Options) string { return "" }))
}

func TestConformanceOfTheFile(t *testing.T) {
	cfg := conformance(func(o backendtest.Options) string { return o.Dir })
	cfg.Durable = true
	backendtest.Run(t, cfg)
}

func conformance(dir func(backendtest.Options) string) backendtest.Config {
	return backendtest.Config{
		Open: func(t testing.TB, o backendtest.Options) perdure.Backend {
			b, err := local.Open(local.Options{Dir: dir(o), Now: o.Now, FeedLength: o.FeedLength, MaxBytes: o.MaxBytes})
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
		Clock:      true,
		FeedLength: 64,
		MaxBytes:   256 << 10,
	}
}
