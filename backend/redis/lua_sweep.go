package redis

// luaSweep drops what is due in a partition. It returns the number of sessions
// that expired, whether more may be due, and the ids that were dropped, each with
// its user key (zeroes where that is not known).
//
//	KEYS expiry index, tombstone index, feed
//	ARGV length of the feed, skew bound, now, limit, prefix of records, prefix of
//	     user indexes
const luaSweep = luaCommon + luaFeed + `
local x, t, f = KEYS[1], KEYS[2], KEYS[3]
local length, skew, now, limit = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local expired, nobody = 0, string.rep('\0', 22)
local out = {0, 0}

-- later puts off what is not due yet, or is not for this script to judge.
local function later(index, id, at)
  call('ZADD', index, at, id)
end

local function gone(id, header)
  local user, version = nobody, string.rep('\0', 12)
  if header ~= '' then user, version = sub(header, 52, 73), sub(header, 4, 15) end
  call('DEL', ARGV[5] .. id)
  call('ZREM', x, id)
  announce('\5\6', version, user, id)
  call('ZREM', ARGV[6] .. user, id)
  expired = expired + 1
  out[#out + 1] = id
  out[#out + 1] = user
end

return publishing(f, length, function()
  local due = call('ZRANGEBYSCORE', x, '-inf', ARGV[3], 'LIMIT', '0', limit)
  for _, id in ipairs(due) do
    local h = call('GETRANGE', ARGV[5] .. id, '0', '72')
    if h == '' then
      gone(id, h)
    elseif not pcall(known, h) then
      later(x, id, now + 3600000)
    elseif byte(h, 2) ~= 1 then
      call('ZREM', x, id)
    elseif deadline(h) > now then
      later(x, id, (deadline(h)))
    else
      gone(id, h)
    end
  end

  local dead = call('ZRANGEBYSCORE', t, '-inf', ARGV[3], 'LIMIT', '0', limit)
  for _, id in ipairs(dead) do
    local h = call('GETRANGE', ARGV[5] .. id, '0', '72')
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
