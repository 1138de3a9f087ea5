package migrate

import (
	"fmt"
	"strings"
	"time"

	"github.com/perdure/perdure"
)

// compare says how what the target holds under an id differs from what the source
// holds: an empty kind where it does not.
func compare(source, target *perdure.Record, now, tolerance perdure.Millis) (kind Kind, detail string) {
	if source.Kind != perdure.KindSession {
		return compareEnd(source, target, now)
	}
	if !source.Live(now) {
		return "", ""
	}
	switch {
	case !target.Exists():
		return Missing, ""
	case target.Kind != perdure.KindSession:
		return Ended, target.Reason.String()
	}
	if fields := heads(source, target); fields != "" {
		return Head, fields
	}
	if source.Body != target.Body {
		return Body, fmt.Sprintf("%d bytes in the source, %d in the target", len(source.Body), len(target.Body))
	}
	return compareLife(source, target, tolerance)
}

// compareEnd compares a tombstone or an epoch. One that is about to be dropped
// may have been dropped already.
func compareEnd(source, target *perdure.Record, now perdure.Millis) (Kind, string) {
	switch {
	case target.Live(now):
		return Revived, source.Reason.String()
	case target.Exists() && target.Kind == source.Kind, source.Horizon <= now:
		return "", ""
	case source.Kind == perdure.KindEpoch:
		return Unended, "the epoch of a user"
	}
	return Unended, source.Reason.String()
}

// heads names what of the headers differs that never changes by a touch.
func heads(source, target *perdure.Record) string {
	var fields []string
	for _, f := range []struct {
		name string
		same bool
	}{
		{"version", source.Version == target.Version}, {"born", source.Born == target.Born}, {"idle", source.Idle == target.Idle},
		{"user", source.User == target.User}, {"parent", source.Parent == target.Parent},
	} {
		if !f.same {
			fields = append(fields, f.name)
		}
	}
	return strings.Join(fields, ", ")
}

func compareLife(source, target *perdure.Record, tolerance perdure.Millis) (Kind, string) {
	for _, f := range []struct {
		name           string
		source, target perdure.Millis
	}{
		{"expiry", source.Expiry, target.Expiry}, {"last access", source.LastAccess, target.LastAccess}, {"horizon", source.Horizon, target.Horizon},
	} {
		if d := f.target - f.source; max(d, -d) > tolerance {
			return Life, fmt.Sprintf("%s is off by %v", f.name, time.Duration(d)*time.Millisecond)
		}
	}
	return "", ""
}
