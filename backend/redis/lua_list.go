package redis

// luaPage returns pages of indexes with the records that they name: for each the
// number of members looked at, the last one and its score if there may be more,
// then members and what is stored under them in turn, readable or not: false for
// nothing in the partition.
//
//	KEYS index, …
//	ARGV for each index: prefix of records, score and member after which to begin,
//	     limit - 1
const luaPage = luaCommon + luaSeek + luaMembers + `
local function page(index, prefix, score, member, last)
  local out, names = members(index, score, member, last)
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
  local ok, result = pcall(page, index, ARGV[4 * i - 3], ARGV[4 * i - 2], ARGV[4 * i - 1], ARGV[4 * i])
  if not ok and type(result) ~= 'table' then result = {err = result} end
  pages[i] = result
end
return pages
`

// luaNames returns a page of an index as luaPage does, without the records.
//
//	KEYS index
//	ARGV score and member after which to begin, limit - 1
const luaNames = luaCommon + luaSeek + luaMembers + `
local out, names = members(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
for i, name in ipairs(names) do out[i + 3] = name end
return out
`

const luaMembers = `
-- members returns how many members a page of an index has, and the last of them
-- with its score if there may be more; and the members. A page is one longer than
-- last.
local function members(index, score, member, last)
  local from, to = '0', last
  if member ~= '' then
    from = seek(index, score, member)
    to = from + last
  end
  local names = call('ZRANGE', index, from, to)
  local out = {#names, '', ''}
  if #names > tonumber(last) then
    out[2] = names[#names]
    out[3] = call('ZSCORE', index, out[2])
  end
  return out, names
end
`

// luaRevoke puts the epoch of a user, unless it stands already, and ends a page
// of the user's sessions. It returns the outcome with the epoch that stands in
// the way; or the outcome, the server's time, the number of members looked at,
// the last one with its score, and then in turn ids and the session that was
// ended, false where it is not in this partition, or nothing of a record that
// cannot be read and was left.
//
//	KEYS epoch, user index, expiry index, tombstone index, feed
//	ARGV length of the feed, skew bound, caller's time, epoch, base, reap, due,
//	     head of the change, reason and version of tombstones, prefix of records,
//	     partition in hex, score and member after which to begin, limit, ids to
//	     spare
const luaRevoke = luaCommon + luaFeed + luaSeek + `
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
for i = 15, #A do spare[A[i]] = true end
local from = seek(K[2], A[12], A[13])
local found = call('ZRANGE', K[2], from, from + A[14] - 1, 'WITHSCORES')
local names = {}
for i = 1, #found, 2 do names[#names + 1] = found[i] end
local out = {1, now, #names, found[#found - 1] or '', found[#found] or ''}

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
