package redis

import (
	"sync"

	"github.com/redis/rueidis"
)

// credentials are those for a new connection: of the URL, or as Options.Reload has
// it now. What cannot be read again stays as it was.
func credentials(o *Options, a *address) func(rueidis.AuthCredentialsContext) (rueidis.AuthCredentials, error) {
	var mu sync.Mutex
	now := *a
	return func(to rueidis.AuthCredentialsContext) (rueidis.AuthCredentials, error) {
		mu.Lock()
		defer mu.Unlock()
		if o.Reload != nil {
			now = reloaded(o, now)
		}
		if other, ok := to.Address.(remote); !ok || !other.sentinel {
			return rueidis.AuthCredentials{Username: now.username, Password: now.password}, nil
		}
		if o.sentinelGiven {
			return rueidis.AuthCredentials{Username: o.SentinelUsername, Password: o.SentinelPassword}, nil
		}
		return rueidis.AuthCredentials{Username: now.sentinelUsername, Password: now.sentinelPassword}, nil
	}
}

// reloaded is what the URL says now, or said before where it cannot be read.
func reloaded(o *Options, before address) address {
	text, err := o.Reload()
	if err == nil {
		var now address
		if now, err = parseURL(text); err == nil {
			return now
		}
	}
	o.Logger.Warn("the URL of redis cannot be read again: user and password stay as they were", "error", err)
	return before
}
