package perdure

import (
	"strings"
	"testing"
	"time"
)

func TestOutageIDs(t *testing.T) {
	now := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
	for p := range Partitions {
		id := NewOutageID(p, now)
		minted, ok := OutageTime(id)
		if CheckID(id) != nil || PartitionOf(id) != p || !ok || !minted.Equal(now.Truncate(time.Minute)) {
			t.Fatalf("%q: %v, partition %d, minted %v %v", id, CheckID(id), PartitionOf(id), minted, ok)
		}
	}
	for _, id := range []string{NewID(1), "123e4567-e89b-12d3-a456-426614174000", strings.Repeat("a", outageIDLen), ""} {
		if at, ok := OutageTime(id); ok {
			t.Errorf("%q was minted in an outage at %v", id, at)
		}
	}
}
