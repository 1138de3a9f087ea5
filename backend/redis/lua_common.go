package redis

// The scripts read the record layout of the root package: in Lua, whose strings
// begin at 1, format 1, kind 2, reason 3, version 4 to 15, born 16 to 27, expiry
// 28 to 33, horizon 34, last access 40, idle 46, user 52 to 73, promised 74 to 79,
// length of the parent 80, parent and body from 81.
//
// They compare versions and ids by equality or as numbers, never by < on
// strings, which follows the server's locale. Numbers that are constant are
// written as strings: Redis prints a Lua number with "%.17g", which costs more
// than the command. In a write that ends or keeps a session the first command is
// one that a full server accepts; the server then lets the rest pass.
const luaCommon = `
local call, unpack6 = redis.call, struct.unpack
local sub, byte = string.sub, string.byte

-- known returns a stored value or its header, or ends the work on one that it
-- cannot read.
local function known(value)
  local kind = byte(value, 2)
  if byte(value, 1) ~= 1 or #value < 79 or kind < 1 or kind > 3 then error('PERDUREFORMAT', 0) end
  return value
end

-- whole is known for a stored value of which more than the header is needed.
local function whole(value)
  if #known(value) < 80 + (byte(value, 80) or 0) then error('PERDUREFORMAT', 0) end
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

-- ends reports whether the tombstone ends what its session was rotated to, which a
-- rotation does not, nor the end of what lasted as long as it was promised to.
local function ends(tomb)
  local why = byte(tomb, 3)
  if why == 6 then return unpack6('>I6', tomb, 28) < unpack6('>I6', tomb, 74) end
  return why ~= 4
end

-- tombstone is what is left of a session: mark is its reason and version.
local function tombstone(session, mark)
  return '\1\2' .. mark .. sub(session, 16, 80 + byte(session, 80))
end
`

// luaFeed collects changes and adds them to the feed at the end of a script, four
// to an entry at most: an entry costs as much as the rest of a touch. A change is
// preceded by its length, as a byte.
const luaFeed = `
local news = {}

-- announce adds a change to the news: head is its kind and reason.
local function announce(head, version, user, id)
  news[#news + 1] = string.char(36 + #id) .. head .. version .. user .. id
end

-- publish adds what was announced to the feed, which it keeps to a length.
local function publish(feed, length)
  for i = 1, #news, 4 do
    call('XADD', feed, 'MAXLEN', '~', length, '*', 'e', table.concat(news, '', i, math.min(i + 3, #news)))
  end
end

-- failed is the reply for what pcall caught.
local function failed(err)
  if type(err) == 'table' then return err end
  return {err = err}
end

-- publishing returns what work returns, and publishes what it announced also
-- where it fails half-way.
local function publishing(feed, length, work)
  local ok, result = pcall(work)
  publish(feed, length)
  if not ok then return failed(result) end
  return result
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
