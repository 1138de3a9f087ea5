package redis

// luaPage returns pages of indexes with the records that they name: for each the
// number of members looked at, the last one and its score if there may be more,
// then members and what is stored under them in turn, readable or not: false for
// nothing in the partition.
//
//	KEYS index, …
//	ARGV for each index: prefix of records, score and member after which to begin,
//	     limit - 1, room in bytes, which all indexes share
const luaPage = luaCommon + luaSeek + luaMembers + `
local function page(index, prefix, score, member, last, room)
  local out, names = members(index, score, member, last, prefix, room)
  local ids, n = {}, 0 -- without the member that says how long the index lives
  for i = 1, #names do
    if names[i] ~= '.' then n = n + 1 ids[n] = names[i] end
  end
  local found, at = values(prefix, ids), 3
  for i = 1, n do
    out[at+1], out[at+2], at = ids[i], found[i], at + 2
  end
  return out
end

local pages = {}
for i, index in ipairs(KEYS) do
  local a = 5 * i
  local ok, result = pcall(page, index, ARGV[a-4], ARGV[a-3], ARGV[a-2], ARGV[a-1], ARGV[a] / #KEYS)
  if not ok and type(result) ~= 'table' then result = {err = result} end
  pages[i] = result
end
return pages
`

// luaNames returns a page of an index as luaPage does, without the records: after
// the first three values, how many bytes those have, and the members.
//
//	KEYS index
//	ARGV score and member after which to begin, limit - 1, prefix of records, room
//	     in bytes
const luaNames = luaCommon + luaSeek + luaMembers + `
local out, names, size = members(KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]))
out[4] = size
for i, name in ipairs(names) do out[i + 4] = name end
return out
`

const luaMembers = luaFitting + `
-- members returns how many members a page of an index has, and the last of them
-- with its score if there may be more; the members; and how many bytes their records
-- have. A page is one longer than last, or ends where there is no room.
local function members(index, score, member, last, prefix, room)
  local from, to = '0', last
  if member ~= '' then
    from = seek(index, score, member)
    to = from + last
  end
  local names = call('ZRANGE', index, from, to)
  local n, size = fitting(prefix, names, room)
  local out = {n, '', ''}
  if n < #names or n > tonumber(last) then
    out[2] = names[n]
    out[3] = call('ZSCORE', index, out[2])
  end
  for i = #names, n + 1, -1 do names[i] = nil end
  return out, names, size
end
`

const luaFitting = `
-- fitting returns how many of the names have records that there is room for, of which
-- there is one at least, and how many bytes those have.
local function fitting(prefix, names, room)
  local size = 0
  for i = 1, #names do
    local more = 0
    if names[i] ~= '.' then more = call('STRLEN', prefix .. names[i]) end
    if size + more > room and size > 0 then return i - 1, size end
    size = size + more
  end
  return #names, size
end
`

// luaRevoke puts the epoch of a user, unless it stands already, and ends a page
// of the user's sessions. It returns the outcome with the epoch that stands in
// the way; or the outcome, the server's time, the number of members looked at,
// the last one with its score, and then in turn ids and the session that was
// ended, false where it is not in this partition, or nothing of a record that
// cannot be read and was left. In the place of the number of members is the limit
// where there was no room for more.
//
//	KEYS epoch, user index, expiry index, tombstone index, feed
//	ARGV length of the feed, skew bound, caller's time, epoch, base, reap, due,
//	     head of the change, reason and version of tombstones, prefix of records,
//	     partition in hex, score and member after which to begin, limit, room in
//	     bytes, ids to spare
const luaRevoke = luaCommon + luaFeed + luaSeek + luaFitting + `
local K, A = KEYS, ARGV
local length, skew, today, epoch, base, mark = A[1], tonumber(A[2]), tonumber(A[3]), A[4], A[5], A[9]
local t = call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
if unpack6('>I6', epoch, 4) > now + skew then return redis.error_reply('PERDURESKEW') end

local cur = call('GET', K[1])
if cur then
  if base == '' or sub(known(cur), 4, 15) ~= base then return {3, cur} end
elseif base ~= '' then
  return {3, false}
end
local spare = {['.'] = true}
for i = 16, #A do spare[A[i]] = true end
local from = seek(K[2], A[12], A[13])
local found = call('ZRANGE', K[2], from, from + A[14] - 1, 'WITHSCORES')
local names = {}
for i = 1, #found, 2 do names[#names + 1] = found[i] end
local n = fitting(A[10], names, tonumber(A[15]))
local out = {1, now, #names, found[2*n-1] or '', found[2*n] or ''}
if n < #names then out[3] = tonumber(A[14]) end
for i = #names, n + 1, -1 do names[i] = nil end

local function finish(id, session)
  local horizon = unpack6('>I6', session, 34) + skew
  call('ZREM', K[3], id)
  call('ZREM', K[2], id)
  call('SET', A[10] .. id, tombstone(session, mark), 'PXAT', math.max(horizon, today) + 3600000)
  call('ZADD', K[4], horizon, id)
  announce('\4' .. sub(mark, 1, 1), sub(mark, 2), sub(session, 52, 73), id)
end

return publishing(K[5], length, function()
  call('XTRIM', K[5], 'MAXLEN', '~', length)
  if not cur or sub(cur, 4, 15) ~= sub(epoch, 4, 15) then
    call('SET', K[1], epoch, 'EXAT', A[6])
    call('ZADD', K[4], A[7], A[11] .. '.' .. sub(epoch, 52, 73))
    announce(A[8], sub(epoch, 4, 15), sub(epoch, 52, 73), A[11] .. '.' .. sub(epoch, 52, 73))
  end
  for i, value in ipairs(values(A[10], names)) do
    local id = names[i]
    local native = #id == 24 and sub(id, 1, 2) == A[11]
    if spare[id] then
      -- stays
    elseif value and not pcall(whole, value) then
      out[#out + 1] = id
      out[#out + 1] = ''
    elseif value and byte(value, 2) == 1 then
      finish(id, value)
      out[#out + 1] = id
      out[#out + 1] = value
    elseif value or native then
      call('ZREM', K[2], id)
    else
      out[#out + 1] = id
      out[#out + 1] = false
    end
  end
  return out
end)
`
