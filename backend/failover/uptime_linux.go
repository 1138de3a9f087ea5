package failover

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// bootID names the present boot of the machine (random(4)).
const bootID = "/proc/sys/kernel/random/boot_id"

// systemUptime is how long the machine has been up, suspended or not, by a clock that
// nobody can set (clock_gettime(2), CLOCK_BOOTTIME), and which boot that is.
func systemUptime() (boot string, uptime time.Duration) {
	id, err := os.ReadFile(bootID)
	if err != nil {
		return "", 0
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return "", 0
	}
	return strings.TrimSpace(string(id)), time.Duration(ts.Nano())
}
