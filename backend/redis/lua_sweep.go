package redis

// luaDue counts what is due in a partition.
//
//	KEYS expiry index, tombstone index
//	ARGV the latest time to go by
const luaDue = luaClock + `
local now = string.format('%d', due(tonumber(ARGV[1])))
return redis.call('ZCOUNT', KEYS[1], '-inf', now) + redis.call('ZCOUNT', KEYS[2], '-inf', now)
`

// luaSweep drops what is due in a partition. It returns the number of sessions
// that expired, whether more may be due, and the ids that were dropped, each with
// its user key (zeroes where that is not known).
//
//	KEYS expiry index, tombstone index, feed
//	ARGV length of the feed, skew bound, the latest time to go by, limit, prefix of
//	     records, prefix of user indexes
const luaSweep = luaCommon + luaFeed + luaClock + `
local x, t, f = KEYS[1], KEYS[2], KEYS[3]
local length, skew, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[4])
local now, today = due(tonumber(ARGV[3]))
local expired, nobody = 0, string.rep('\0', 22)
local out = {0, 0}

-- later puts off what is not due yet, or is not for this script to judge.
local function later(index, id, at)
  call('ZADD', index, at, id)
end

-- lingers reports whether a session leaves a tombstone: see Record.Lingers.
local function lingers(id, header)
  local promised = unpack6('>I6', header, 74)
  if promised == 0 or unpack6('>I6', header, 34) + skew <= now then return false end
  return unpack6('>I6', header, 28) < promised or #id == 32 and string.find(id, '^%-[0-9a-f]+$', 25)
end

-- next is the version after a version.
local function next(version)
  local ms, count = unpack6('>I6I2', version)
  if count == 65535 then ms, count = ms + 1, -1 end
  return struct.pack('>I6I2', ms, count + 1) .. sub(version, 9)
end

-- lapse leaves the tombstone of a session, and returns its version.
local function lapse(id, session)
  local version, horizon = next(sub(session, 4, 15)), unpack6('>I6', session, 34) + skew
  call('SET', ARGV[5] .. id, tombstone(session, '\6' .. version), 'PXAT', math.max(horizon, today) + 3600000)
  call('ZADD', t, horizon, id)
  return version
end

local function gone(id, header, session)
  local user, version = nobody, string.rep('\0', 12)
  if header ~= '' then user, version = sub(header, 52, 73), sub(header, 4, 15) end
  call('ZREM', x, id)
  if session then version = lapse(id, session) else call('DEL', ARGV[5] .. id) end
  announce('\5\6', version, user, id)
  call('ZREM', ARGV[6] .. user, id)
  expired = expired + 1
  out[#out + 1] = id
  out[#out + 1] = user
end

return publishing(f, length, function()
  local upto = string.format('%d', now)
  local due = call('ZRANGEBYSCORE', x, '-inf', upto, 'LIMIT', '0', limit)
  for _, id in ipairs(due) do
    local h = call('GETRANGE', ARGV[5] .. id, '0', '78')
    if h == '' then
      gone(id, h)
    elseif not pcall(known, h) then
      later(x, id, now + 3600000)
    elseif byte(h, 2) ~= 1 then
      call('ZREM', x, id)
    elseif deadline(h) > now then
      later(x, id, (deadline(h)))
    else
      local session = lingers(id, h) and call('GET', ARGV[5] .. id)
      if session and not pcall(whole, session) then later(x, id, now + 3600000) else gone(id, h, session) end
    end
  end

  local dead = call('ZRANGEBYSCORE', t, '-inf', upto, 'LIMIT', '0', limit)
  for _, id in ipairs(dead) do
    local h = call('GETRANGE', ARGV[5] .. id, '0', '78')
    local readable = h ~= '' and pcall(known, h)
    if h ~= '' and not readable then
      later(t, id, now + 3600000)
    elseif readable and byte(h, 2) ~= 1 and unpack6('>I6', h, 34) + skew > now then
      later(t, id, unpack6('>I6', h, 34) + skew)
    else
      call('ZREM', t, id)
      if readable and byte(h, 2) ~= 1 then
        call('DEL', ARGV[5] .. id)
        out[#out + 1] = id
        out[#out + 1] = nobody
      end
    end
  end

  out[1] = expired
  if #due == limit or #dead == limit then out[2] = 1 end
  return out
end)
`

// luaClock goes by the server's time: a caller's can only be earlier. It is not for
// a clock that is ahead to say that a session is over.
const luaClock = `
-- due returns the time up to which all is due, and the server's.
local function due(latest)
  local t = redis.call('TIME')
  local now = t[1] * 1000 + math.floor(t[2] / 1000)
  return math.min(latest, now), now
end
`

// luaTime returns what TIME does. The key says which master of a Cluster is asked.
//
//	KEYS probe
const luaTime = `return redis.call('TIME')`
