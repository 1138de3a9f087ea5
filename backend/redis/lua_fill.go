package redis

// luaFill creates sessions of one partition, each where nothing is stored and by
// itself, and returns their results in order, as luaApply does. What Redis does
// for one session anew it does here for many at once.
//
//	KEYS expiry index, feed
//	ARGV length of the feed, caller's time, prefix of records, prefix of user
//	     indexes, prefix of epochs, reason; then for each user and reap: user key,
//	     number of sessions, reap; and for each session: id, record, due
const luaFill = luaCommon + luaFeed + luaIndexing + `
local A = ARGV
local length, today, records, users, epochs, why = A[1], tonumber(A[2]), A[3], A[4], A[5], A[6]
local groups, all, names, a = {}, {}, {}, 6
while a < #A do
  local group, n, epoch = {user = A[a+1], reap = A[a+3], members = {}}, tonumber(A[a+2]), #names + 1
  names[epoch] = epochs .. group.user
  for at = a + 3, a + 3 * n, 3 do
    local s = {id = A[at+1], rec = A[at+2], due = A[at+3], key = records .. A[at+1], group = group, epoch = epoch, own = #names + 1}
    names[s.own] = s.key
    all[#all + 1] = s
  end
  groups[#groups + 1] = group
  a = a + 3 + 3 * n
end
local found = call('MGET', unpack(names))

-- met returns what stands in the way of a session, if that does.
local function met(s, cur, epoch)
  if cur then return {3, 0, 0, known(cur)} end
  if epoch and before(s.rec, 16, known(epoch), 4) then return {3, 0, 1, epoch} end
end

local out, clear, scores, taken = {}, {}, {}, {}
for i, s in ipairs(all) do
  local cur, epoch, ok, result = found[s.own], found[s.epoch], true
  if cur or epoch then ok, result = pcall(met, s, cur, epoch) end
  if not ok then
    out[i] = {err = result}
  elseif result then
    out[i] = result
  elseif taken[s.id] then
    out[i] = {3, 0, 0, taken[s.id]}
  else
    taken[s.id], out[i] = s.rec, 1
    clear[#clear + 1] = i
    scores[#scores + 1] = s.due
    scores[#scores + 1] = s.id
  end
end

-- list puts the sessions of a user into the user's index, as index does one.
local function list(group)
  local u, members = users .. group.user, group.members
  call('ZADD', u, 'GT', unpack(members))
  if call('ZADD', u, 'GT', 'CH', group.reap, '.') == 1 then
    call('EXPIREAT', u, group.reap)
    call('ZREMRANGEBYSCORE', u, '-inf', math.floor(today / 1000))
  end
end

-- store begins with what a full server refuses: then nothing has been written.
local function store()
  call('ZADD', KEYS[1], unpack(scores))
  for _, i in ipairs(clear) do
    local s = all[i]
    local group, members = s.group, s.group.members
    call('SET', s.key, s.rec, 'EXAT', group.reap)
    members[#members + 1] = group.reap
    members[#members + 1] = s.id
    announce('\1' .. why, sub(s.rec, 4, 15), group.user, s.id)
  end
  for _, group in ipairs(groups) do
    if #group.members == 2 then
      index(users .. group.user, group.members[2], group.reap, today)
    elseif #group.members > 2 then
      list(group)
    end
  end
end

if #clear > 0 then
  local ok, result = pcall(store)
  publish(KEYS[2], length)
  if not ok then
    for _, i in ipairs(clear) do out[i] = failed(result) end
  end
end
return out
`
