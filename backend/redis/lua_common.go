package redis

// The scripts read the record layout of the root package: in Lua, whose strings
// begin at 1, format 1, kind 2, reason 3, version 4 to 15, born 16 to 27, expiry
// 28, horizon 34, last access 40, idle 46, user 52 to 73, length of the parent
// 74, parent and body from 75.
//
// They compare versions and ids by equality or as numbers, never by < on
// strings, which follows the server's locale. Numbers that are constant are
// written as strings: Redis prints a Lua number with "%.17g", which costs more
// than the command. In a write that ends or keeps a session the first command is
// one that a full server accepts; the server then lets the rest pass.
const luaCommon = `
local call, unpack6 = redis.call, struct.unpack
local sub, byte = string.sub, string.byte

-- known returns a stored value, or ends the work on one that it cannot read.
local function known(value)
  if byte(value, 1) ~= 1 or #value < 73 then error('PERDUREFORMAT', 0) end
  return value
end

-- deadline returns when the session of a header ends, and its last access.
local function deadline(header)
  local expiry, _, access, idle = unpack6('>I6I6I6I6', header, 28)
  if idle > 0 and access + idle < expiry then expiry = access + idle end
  return expiry, access
end

-- before compares the versions at two places.
local function before(a, i, b, j)
  local a1, a2 = unpack6('>I6I6', a, i)
  local b1, b2 = unpack6('>I6I6', b, j)
  return a1 < b1 or a1 == b1 and a2 < b2
end

-- tombstone is what is left of a session: mark is its reason and version.
local function tombstone(session, mark)
  return '\1\2' .. mark .. sub(session, 16, 74 + byte(session, 74))
end

-- announce adds a change to the feed. Trimming it costs as much again, so only
-- one write in 16 does: dice is the lowest byte of a time.
local function announce(feed, length, dice, change)
  if dice % 16 == 0 then
    call('XADD', feed, 'MAXLEN', '~', length, '*', 'e', change)
  else
    call('XADD', feed, '*', 'e', change)
  end
end
`

// luaSeek finds places in a sorted set without the member that a cursor names
// having to be there still.
const luaSeek = `
-- above compares members as Redis does, byte by byte.
local function above(a, b)
  for i = 1, math.min(#a, #b) do
    local x, y = byte(a, i), byte(b, i)
    if x ~= y then return x > y end
  end
  return #a > #b
end

-- seek returns the rank of the first member after a score and a member.
local function seek(set, score, member)
  if member == '' then return 0 end
  local low, high = 0, call('ZCARD', set)
  score = tonumber(score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local at = call('ZRANGE', set, middle, middle, 'WITHSCORES')
    local s = tonumber(at[2])
    if s > score or s == score and above(at[1], member) then high = middle else low = middle + 1 end
  end
  return low
end

-- values gets many keys of a prefix, in pieces that Lua's stack has room for.
local function values(prefix, names)
  local all = {}
  for from = 1, #names, 500 do
    local keys, last = {}, math.min(from + 499, #names)
    for i = from, last do keys[i - from + 1] = prefix .. names[i] end
    local got = call('MGET', unpack(keys))
    if last == #names and from == 1 then return got end
    for i = 1, #keys do all[from + i - 1] = got[i] end
  end
  return all
end
`
