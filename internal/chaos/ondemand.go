package chaos

import (
	"os"
	"testing"
)

// OnDemandVariable turns on the tests that play whole outages. Package failover
// is not finished, and they take their time.
const OnDemandVariable = "PERDURE_TEST_CHAOS"

// OnDemand skips a test that plays outages unless it was asked for.
func OnDemand(tb testing.TB) {
	tb.Helper()
	if os.Getenv(OnDemandVariable) == "" {
		tb.Skipf("set %s=1 to play outages", OnDemandVariable)
	}
}
