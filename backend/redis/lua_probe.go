package redis

// luaProbing finds out whether what a login and a logout need would be done now: it
// runs every command that the scripts do which write, on keys of its own, and leaves
// nothing. Each key is sure to go before there is another: the first by itself, if
// it cannot be deleted.
//
//	KEYS string, sorted set, stream
const luaProbing = `
local function probeValues(s, till)
  call('SET', s, 'probe', 'EXAT', till) -- the first is one that a full server refuses
  call('EXISTS', s)
  call('GET', s)
  call('STRLEN', s)
  call('MGET', s, s)
  call('GETRANGE', s, '0', '1')
  call('SETRANGE', s, '0', 'P')
  call('DEL', s)
end

local function probeIndexes(z, till)
  call('ZADD', z, 'GT', 'CH', '1', 'probe')
  call('EXPIREAT', z, till)
  call('ZCARD', z)
  call('ZRANGE', z, '0', '0')
  call('ZRANGEBYSCORE', z, '-inf', '1', 'LIMIT', '0', '1')
  call('ZREMRANGEBYSCORE', z, '-inf', '0')
  call('ZREM', z, 'probe')
end

local function probeFeed(f, till)
  call('XADD', f, 'MAXLEN', '~', '1', '*', 'e', 'probe')
  call('EXPIREAT', f, till)
  call('XTRIM', f, 'MAXLEN', '~', '1')
end

local function probe(k)
  local till = call('TIME')[1] + 60
  for i, step in ipairs({probeValues, probeIndexes, probeFeed}) do
    local key = K[k + i]
    local ok, failure = pcall(step, key, till)
    if not ok and i == 1 then error(failure, 0) end
    call('DEL', key)
    if not ok then error(failure, 0) end
  end
  return 1
end
`

// luaProbe is luaProbing alone, for a Cluster, which is sent it for each partition.
//
//	KEYS string, sorted set, stream
const luaProbe = "local call, K = redis.call, KEYS\n" + luaProbing + "return probe(0)"
