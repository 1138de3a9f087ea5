package redis

// luaFill creates sessions of one partition, each where nothing is stored and by
// itself, and returns their results in order, as luaApply does. What Redis does
// for one session anew it does here for many at once.
//
//	KEYS expiry index, feed, tombstone index
//	ARGV length of the feed, caller's time, prefix of records, prefix of user
//	     indexes, prefix of epochs; then for each user and reap: user key, number
//	     of sessions, reap; and for each session: id, record, due, change as
//	     luaFeed takes it
const luaFill = luaCommon + luaFeed + luaIndexing + `
local A, last = ARGV, #ARGV
local length, today, records, users, epochs = A[1], tonumber(A[2]), A[3], A[4], A[5]
local out, n, scores, s = {}, 0, {}, 0

-- standing gets the users' epochs, which are in the tombstone index.
local function standing()
  if call('EXISTS', KEYS[3]) == 0 then return {} end
  local names, a = {}, 5
  while a < last do
    names[#names + 1] = epochs .. A[a+1]
    a = a + 3 + 4 * A[a+2]
  end
  return call('MGET', unpack(names))
end

-- obstacle returns what stands in the way of a session.
local function obstacle(key, rec, epoch)
  local cur = call('GET', key)
  if cur then return {3, 0, 0, known(cur)} end
  if epoch and before(rec, 16, known(epoch), 4) then return {3, 0, 1, epoch} end
end

-- met is obstacle, or the error that it ended with.
local function met(key, rec, epoch)
  local ok, result = pcall(obstacle, key, rec, epoch)
  if not ok then return failed(result) end
  return result
end

-- list puts the sessions of a user into the user's index, as index does one:
-- they share a reap, so another change than theirs is that of the member '.'.
local function list(u, members, m, reap)
  members[m+1], members[m+2] = reap, '.'
  if call('ZADD', u, 'GT', 'CH', unpack(members)) > m / 2 then raise(u, reap, today) end
end

-- fill begins with what a full server refuses: then nothing has been written.
local function fill()
  local epoch, group, a = standing(), 0, 5
  while a < last do
    local user, reap, members, m = A[a+1], A[a+3], {}, 0
    group = group + 1
    local e, stop = epoch[group], n + A[a+2]
    a = a + 3
    while n < stop do
      local id, rec = A[a+1], A[a+2]
      local key = records .. id
      local result = e and met(key, rec, e)
      if not result and not call('SET', key, rec, 'NX', 'EXAT', reap) then result = met(key, rec) end
      if not result then
        result = 1
        members[m+1], members[m+2], m = reap, id, m + 2
        scores[s+1], scores[s+2], s = A[a+3], id, s + 2
        news[#news + 1] = A[a+4]
      end
      n = n + 1
      out[n] = result
      a = a + 4
    end
    if m > 0 then list(users .. user, members, m, reap) end
  end
end

local ok, result = pcall(fill)
if s > 0 then call('ZADD', KEYS[1], unpack(scores)) end
publish(KEYS[2], length)
if not ok then
  result = failed(result)
  local i, a = 0, 5
  while a < last do
    for _ = 1, A[a+2] do
      i = i + 1
      if out[i] == nil or out[i] == 1 then out[i] = result end
    end
    a = a + 3 + 4 * A[a+2]
  end
end
return out
`
