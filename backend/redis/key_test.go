package redis

import (
	"strings"
	"testing"

	"github.com/perdure/perdure"
	"github.com/perdure/perdure/internal/redistest"
)

// crc16 is CRC-16/XMODEM, bit by bit, as the Cluster specification names it.
func crc16(s string) uint16 {
	var crc uint16
	for i := range len(s) {
		crc ^= uint16(s[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}

func TestTagsAreSpreadEvenly(t *testing.T) {
	if crc16("123456789") != 0x31c3 {
		t.Fatal("crc16 is not the one of the Cluster specification")
	}
	if len(tags) != 2*perdure.Partitions {
		t.Fatalf("there are %d bytes of tags", len(tags))
	}
	for i := range perdure.Partitions {
		tag := tags[2*i : 2*i+2]
		if slot := int(crc16(tag)) % redistest.SlotCount; slot/64 != i {
			t.Errorf("the tag %q of partition %d has the slot %d, want one from %d to %d", tag, i, slot, 64*i, 64*i+63)
		}
		if strings.ContainsAny(tag, "{}") {
			t.Errorf("the tag %q of partition %d has a brace", tag, i)
		}
	}
}

func TestTheServerSeesTheTags(t *testing.T) {
	t.Parallel()
	server := redistest.StartCluster(t, redistest.ClusterOptions{Masters: 1}).Nodes()[0]
	k := newKeyspace("perdure:")
	for i := range k.partitions {
		own := &k.partitions[i]
		for _, key := range []string{own.records + "an-id-with-}-in-it", own.users + "u", own.expiry, own.tombs, own.feed, own.health} {
			slot, err := server.Do("CLUSTER", "KEYSLOT", key)
			if err != nil {
				t.Fatal(err)
			}
			if got := int(slot.(int64)) / 64; got != i {
				t.Fatalf("the server puts %q of partition %d into slot %d", key, i, slot)
			}
		}
	}
}

func TestTheNearCacheNamesKeys(t *testing.T) {
	for _, prefix := range []string{"perdure:", "p", strings.Repeat("x", maxPrefix)} {
		k := newKeyspace(prefix)
		for _, id := range []string{perdure.NewID(0), perdure.NewID(255), strings.Repeat("a", 128), perdure.EpochID(perdure.HashUser("u"))} {
			if got := k.name(k.record(id)); got != id {
				t.Errorf("the key %q is that of %q, want %q", k.record(id), got, id)
			}
		}
		if index := k.index(perdure.HashUser("u")); k.name(index) != index {
			t.Errorf("the index %q is not its own name", index)
		}
		for _, other := range []string{"", prefix, k.partitions[7].expiry, k.partitions[7].users, "other:{aa}:s:x", prefix + "{aa}:s:", "{aa}:s:x"[len(prefix)%2:]} {
			if id := k.name(other); id != "" {
				t.Errorf("the key %q is taken for that of %q", other, id)
			}
		}
	}
}
