package redis

import (
	"crypto/sha1"
	"encoding/hex"
	"strconv"

	"github.com/redis/rueidis"
)

// script is a Lua script that the server keeps under the hash of its source.
type script struct {
	source, sha string
}

func newScript(source string) *script {
	sum := sha1.Sum([]byte(source))
	return &script{source: source, sha: hex.EncodeToString(sum[:])}
}

// call is one command: a script, or the words that a plain command begins with.
type call struct {
	script     *script
	words      []string
	keys, args []string
	apart      bool // on a connection of its own while it lasts
	watch      bool // the server is to tell of changes to what it reads; of a call that is sent alone
}

// command is the plain command of these words, with its keys at the end.
func command(words []string, keys ...string) call { return call{words: words, keys: keys} }

// build makes the command. In full, a script is sent with its source.
func (c *call) build(b rueidis.Builder, full bool) rueidis.Completed {
	words := c.words
	switch {
	case c.script != nil && full:
		words = []string{"EVAL", c.script.source, strconv.Itoa(len(c.keys))}
	case c.script != nil:
		words = []string{"EVALSHA", c.script.sha, strconv.Itoa(len(c.keys))}
	}
	command := b.Arbitrary(words...).Keys(c.keys...).Args(c.args...)
	if c.apart {
		return command.Blocking()
	}
	return command.Build()
}
