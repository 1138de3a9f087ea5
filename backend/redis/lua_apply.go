package redis

// luaApply carries out batches of writes, each by itself, and returns their
// results in order: 1 for Applied, 2 for Absent, or a list of the outcome, the
// write that met a record, whose that is (0 its own, 1 the user's epoch, 2 the
// parent), the record, and the server's time.
//
// ARGV begins with the length of the feed, the skew bound in milliseconds, and
// the caller's time. Then each batch has its letter, its keys and its arguments:
//
//	c  create a session where nothing is stored
//	   KEYS session, user index, expiry index, feed, epoch
//	   ARGV id, record, reap, due, change
//	p  put n records that nothing stands in the way of
//	   ARGV n, number of keys; then for each
//	   KEYS record, user index, expiry index, tombstone index, feed, epoch, parent (if "1")
//	   ARGV id, record, base, epoch known, reap, due, change, "1" or ""
//	t  touch
//	   KEYS session, feed
//	   ARGV id, last access, head of the change
//	r  remove, or plant the record unless it is empty
//	   KEYS session, expiry index, tombstone index, feed
//	   ARGV id, prefix of user indexes, reason and version, record, reap, due
//
// reap is when Redis may drop the key by itself, in seconds; due the score in the
// index, in milliseconds.
const luaApply = luaCommon + luaIndexing + `
local K, A, out = KEYS, ARGV, {}
local length, skew, today = A[1], tonumber(A[2]), A[3]
local clock

local function now()
  if not clock then
    local t = call('TIME')
    clock = t[1] * 1000 + math.floor(t[2] / 1000)
  end
  return clock
end

local function create(k, a)
  local s, id, rec, reap = K[k+1], A[a+1], A[a+2], A[a+3]
  local epoch = call('GET', K[k+5])
  if epoch and before(rec, 16, known(epoch), 4) and call('EXISTS', s) == 0 then return {3, 0, 1, epoch} end
  if not call('SET', s, rec, 'NX', 'EXAT', reap) then return {3, 0, 0, known(call('GET', s))} end
  index(K[k+2], id, reap, today)
  call('ZADD', K[k+3], A[a+4], id)
  announce(K[k+4], length, byte(rec, 9), A[a+5])
  return 1
end

-- obstacle returns what stands in the way of a put.
local function obstacle(w)
  if unpack6('>I6', w.rec, 4) > now() + skew then error('PERDURESKEW', 0) end
  w.cur = call('GET', w.s)
  if w.cur then
    if w.base == '' or sub(known(w.cur), 4, 15) ~= w.base then return {3, 0, 0, w.cur} end
  elseif w.base ~= '' then
    return {3, 0, 0, false}
  elseif byte(w.rec, 2) == 1 then
    local epoch = call('GET', w.e)
    if epoch and sub(known(epoch), 4, 15) ~= w.ack and before(w.rec, 16, epoch, 4) then return {3, 0, 1, epoch} end
    local parent = w.p and call('GET', w.p)
    if parent and byte(known(parent), 2) == 2 and byte(parent, 3) ~= 4 then return {3, 0, 2, parent} end
  end
end

-- keep is a record with the later last access of two.
local function keep(rec, cur)
  if unpack6('>I6', cur, 40) <= unpack6('>I6', rec, 40) then return rec end
  return sub(rec, 1, 39) .. sub(cur, 40, 45) .. sub(rec, 46)
end

local function live(w, was)
  local cur, rec = w.cur, w.rec
  call('SET', w.s, rec, 'EXAT', w.reap)
  if was == 2 then call('ZREM', w.t, w.id) end
  if byte(rec, 52) ~= 0 and (was ~= 1 or sub(rec, 28, 33) ~= sub(cur, 28, 33)) then index(w.u, w.id, w.reap, today) end
  -- A score may be earlier than the deadline, but not later.
  if was ~= 1 or tonumber(w.due) < deadline(cur) then call('ZADD', w.x, w.due, w.id) end
end

local function dead(w, was)
  call('ZREM', w.x, w.id)
  if was == 1 then
    local u = w.u
    if byte(w.rec, 52) == 0 then u = u .. sub(w.cur, 52, 73) end
    call('ZREM', u, w.id)
  end
  call('SET', w.s, w.rec, 'EXAT', w.reap)
  call('ZADD', w.t, w.due, w.id)
end

local function store(w)
  local was, change = false, w.change
  if w.cur then
    was = byte(w.cur, 2)
    w.rec = keep(w.rec, w.cur)
  end
  if byte(w.rec, 2) == 1 then
    if was then change = '\2' .. sub(change, 2) end
    live(w, was)
  else
    dead(w, was)
  end
  announce(w.f, length, byte(w.rec, 9), change)
end

local function put(k, a)
  local writes = {}
  a = a + 2
  for i = 1, tonumber(A[a-1]) do
    local w = {s = K[k+1], u = K[k+2], x = K[k+3], t = K[k+4], f = K[k+5], e = K[k+6],
      id = A[a+1], rec = A[a+2], base = A[a+3], ack = A[a+4], reap = A[a+5], due = A[a+6], change = A[a+7]}
    k = k + 6
    if A[a+8] == '1' then k = k + 1; w.p = K[k] end
    a = a + 8
    local met = obstacle(w)
    if met then met[2] = i - 1 return met end
    writes[i] = w
  end
  for _, w in ipairs(writes) do store(w) end
  return {1, 0, 0, false, now()}
end

-- ended is the answer to what was asked of a session that is none.
local function ended(s, header)
  if byte(known(header), 2) == 2 then return {2, 0, 0, call('GET', s)} end
  return 2
end

local function touch(k, a)
  local s, to = K[k+1], A[a+2]
  local h = call('GETRANGE', s, '0', '72')
  if h == '' then return 2 end
  if byte(known(h), 2) ~= 1 then return ended(s, h) end
  local at, last, access = unpack6('>I6', to), deadline(h)
  if at >= last then return 2 end
  if at > access then
    call('SETRANGE', s, '39', to)
    announce(K[k+2], length, byte(to, 6), A[a+3] .. sub(h, 4, 15) .. sub(h, 52, 73) .. A[a+1])
  end
  return 1
end

-- spared is touch where the server is full: a touch takes no memory, so room is
-- made in the feed for its change.
local function spared(k, a)
  call('XTRIM', K[k+2], 'MAXLEN', '~', length)
  return touch(k, a)
end

local function plant(k, a)
  local rec = A[a+4]
  if rec == '' then return 2 end
  call('ZREM', K[k+2], A[a+1])
  call('SET', K[k+1], rec, 'EXAT', A[a+5])
  call('ZADD', K[k+3], A[a+6], A[a+1])
  announce(K[k+4], length, byte(rec, 9), '\4' .. sub(rec, 3, 15) .. sub(rec, 52, 73) .. A[a+1])
  return 2
end

local function remove(k, a)
  local s, id, mark = K[k+1], A[a+1], A[a+3]
  local cur = call('GET', s)
  if not cur then return plant(k, a) end
  if byte(known(cur), 2) ~= 1 then return ended(s, cur) end
  local horizon = unpack6('>I6', cur, 34) + skew
  local user = sub(cur, 52, 73)
  call('ZREM', K[k+2], id)
  call('ZREM', A[a+2] .. user, id)
  call('SET', s, tombstone(cur, mark), 'PXAT', math.max(horizon, tonumber(today)) + 3600000)
  call('ZADD', K[k+3], horizon, id)
  announce(K[k+4], length, byte(mark, 7), '\4' .. mark .. user .. id)
  return {1, 0, 0, cur}
end

local k, a, last = 0, 3, #A
while a < last do
  local op, ok, result = A[a+1]
  a = a + 1
  if op == 'c' then
    ok, result = pcall(create, k, a)
    k, a = k + 5, a + 5
  elseif op == 't' then
    ok, result = pcall(touch, k, a)
    if not ok and string.find(type(result) == 'table' and result.err or result, 'OOM ', 1, true) then
      ok, result = pcall(spared, k, a)
    end
    k, a = k + 2, a + 3
  elseif op == 'r' then
    ok, result = pcall(remove, k, a)
    k, a = k + 4, a + 6
  else
    ok, result = pcall(put, k, a)
    k, a = k + A[a+2], a + 2 + 8 * A[a+1]
  end
  if not ok and type(result) ~= 'table' then result = {err = result} end
  out[#out + 1] = result
end
return out
`

const luaIndexing = `
-- index puts a session into its user's index. The member '.' has the time until
-- which the index lives as its score: a second change says that it was raised.
local function index(u, id, reap, today)
  if call('ZADD', u, 'GT', 'CH', reap, id, reap, '.') == 2 then
    call('EXPIREAT', u, reap)
    call('ZREMRANGEBYSCORE', u, '-inf', math.floor(today / 1000))
  end
end
`

// luaIndex only indexes a session.
//
//	KEYS user index
//	ARGV id, reap, caller's time
const luaIndex = luaCommon + luaIndexing + `
index(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
return 1
`
