package redis

import (
	"encoding/hex"
	"strings"

	"github.com/perdure/perdure"
)

// tags are the hash tags of the partitions, two characters each: those of
// partition i hash to one of the slots from 64i to 64i+63, so that the partitions
// are spread evenly over any number of masters.
const tags = "" +
	"aGblaCbhaObdaKd3aVoMaRbycobuaZbqaebNaabJambFaibBatooapf9cMbWaxbS" +
	"fJc2fNc6dseidwemb9epdnetb1exb5gMdYeCfleGdQeKdUeOdHa0dLa4fqa8dDgo" +
	"aFbmaBbiaNbeaJbaaWoLaSbxcnbtcjbpadbOcQbKalbGahbCauonaqbZcLbVaybR" +
	"dzc3fOc7drehdvelb8eqdoeub0eyb4gLdXeBfmeFdPeJdTeNdIa1dMa5dAa9dEgn" +
	"bnaEbjaAbfaMbbaIoOaTmzaPbwcmbsaXbLagbHacbDaomAakomavbYarbUcObQaz" +
	"c0dyc4fLc8dqeoduerdhevdlezb3gOb7eAfjeEfneIdSeMdWa2dJa6dNeXdBgmdF" +
	"boaDbkcqbgaLbcaHoNaUbzaQbvclbraYbMafbIabbEanbAajolawbXasbTcNbPcJ" +
	"c1dxc5fMc9dpendtesdiewdmgJb2gNb6gqdZeDfoeHdReLdVa3dKa7dOeYdCgldG"

// keyspace names the keys. With p for the prefix and t for the tag of a
// partition they are p{t}:s:<id> for a record, p{t}:u:<user key> for the index of
// a user, p{t}:x for the sessions by deadline, p{t}:t for tombstones and epochs
// by drop time, and p{t}:f for the change feed, which in a Cluster each partition
// has and elsewhere partition 0 for all.
type keyspace struct {
	prefix     string
	partitions [perdure.Partitions]partitionKeys
}

// partitionKeys are the keys of one partition, or their beginnings.
type partitionKeys struct {
	records, users              string // beginnings
	expiry, tombs, feed, health string
	hex                         string // how its native ids begin
}

// probes are the keys of luaProbing.
func (p *partitionKeys) probes() []string { return []string{p.health, p.health + "z", p.health + "f"} }

func newKeyspace(prefix string) *keyspace {
	k := &keyspace{prefix: prefix}
	for i := range k.partitions {
		p := prefix + "{" + tags[2*i:2*i+2] + "}:"
		k.partitions[i] = partitionKeys{
			records: p + "s:", users: p + "u:", expiry: p + "x", tombs: p + "t", feed: p + "f", health: p + "h",
			hex: hex.EncodeToString([]byte{byte(i)}),
		}
	}
	return k
}

// of is the partition that the record lies in.
func (k *keyspace) of(id string) *partitionKeys {
	return &k.partitions[perdure.PartitionOf(id)]
}

// record is the key of a record.
func (k *keyspace) record(id string) string { return k.of(id).records + id }

// RecordKey is the key that a record is stored under, for one who looks at the server
// itself.
func (b *Backend) RecordKey(id string) string { return b.keys.record(id) }

// index is the key of a user's index.
func (k *keyspace) index(user perdure.UserKey) string {
	return k.partitions[user.Partition()].users + string(user)
}

// name is what the near cache calls what is stored under a key: a record by its id,
// the index of a user by the key. It is empty for any other.
func (k *keyspace) name(key string) string {
	const tagged = len("{tt}:s:")
	rest, ours := strings.CutPrefix(key, k.prefix)
	if !ours || len(rest) <= tagged || rest[:1] != "{" {
		return ""
	}
	switch rest[3:tagged] {
	case "}:s:":
		return rest[tagged:]
	case "}:u:":
		return key
	}
	return ""
}

// foreign reports whether the id lies in another partition than its user.
func foreign(id string, user perdure.UserKey) bool {
	return user != "" && perdure.PartitionOf(id) != user.Partition()
}
