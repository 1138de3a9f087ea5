//go:build !linux

package failover

import "time"

// systemUptime is not known here: nobody can say how the clock of a process went that
// was killed before it was told the time.
func systemUptime() (boot string, uptime time.Duration) { return "", 0 }
