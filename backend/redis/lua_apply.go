package redis

// luaApply carries out batches of writes, each by itself, and returns their
// results in order: 1 for Applied, 2 for Absent, or a list of the outcome, the
// write that met a record, whose that is (0 its own, 1 the user's epoch, 2 the
// parent), the record, and the server's time.
//
// KEYS begins with the feed. ARGV begins with the feed's length, the skew bound
// in milliseconds, the caller's time, and how long the part of a record's key is
// that comes before the id. Then each batch has its letter, keys and arguments:
//
//	c  create a session where nothing is stored
//	   KEYS session, user index, expiry index, epoch
//	   ARGV record, reap, due, change as luaFeed takes it
//	p  put n records that nothing stands in the way of
//	   ARGV n, number of keys; then for each
//	   KEYS record, user index, expiry index, tombstone index, epoch, parent (if "1")
//	   ARGV record, base, epoch known, reap, due, head of the change, "1" or ""
//	t  touch
//	   KEYS session
//	   ARGV last access, head of the change
//	r  remove, or plant the record unless it is empty
//	   KEYS session, expiry index, tombstone index
//	   ARGV prefix of user indexes, reason and version, record, reap, due
//	h  probe, as luaProbing does
//	   KEYS string, sorted set, stream
//
// reap is when Redis may drop the key by itself, in seconds; due the score in the
// index, in milliseconds.
const luaApply = luaCommon + luaFeed + luaIndexing + `
local K, A, out = KEYS, ARGV, {}
` + luaProbing + `
local skew, today, before_id = tonumber(A[2]), tonumber(A[3]), A[4] + 1
local clock

local function now()
  if not clock then
    local t = call('TIME')
    clock = t[1] * 1000 + math.floor(t[2] / 1000)
  end
  return clock
end

-- epochs gets those of the users of all creations from here on up to the next
-- batch of another letter.
local function epochs(k, a)
  local keys = {}
  while A[a] == 'c' and #keys < 500 do
    keys[#keys + 1] = K[k + 4]
    k, a = k + 4, a + 5
  end
  return call('MGET', unpack(keys))
end

local function create(k, a, epoch)
  local s, rec, reap = K[k+1], A[a+1], A[a+2]
  if epoch and before(rec, 16, known(epoch), 4) and call('EXISTS', s) == 0 then return {3, 0, 1, epoch} end
  if not call('SET', s, rec, 'NX', 'EXAT', reap) then return {3, 0, 0, known(call('GET', s))} end
  local id = sub(s, before_id)
  index(K[k+2], id, reap, today)
  call('ZADD', K[k+3], A[a+3], id)
  news[#news + 1] = A[a+4]
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
  end
  if byte(w.rec, 2) == 1 and (not w.cur or byte(w.cur, 2) ~= 1) then
    local epoch = call('GET', w.e)
    if epoch and sub(known(epoch), 4, 15) ~= w.ack and before(w.rec, 16, epoch, 4) then return {3, 0, 1, epoch} end
    local parent = w.p and call('GET', w.p)
    if parent and byte(known(parent), 2) == 2 and ends(parent) then return {3, 0, 2, parent} end
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

-- told is the head of the change that a put over what is stored is, if it is one:
-- what keeps the version of a session is a touch, and what has ended ends once, but
-- that it may have been rotated before.
local function told(w, was)
  local is = byte(w.rec, 2)
  if sub(w.cur, 4, 15) == sub(w.rec, 4, 15) and is == was then
    if was == 1 and sub(w.cur, 40, 45) ~= sub(w.rec, 40, 45) then return '\3\0' end
  elseif is == 1 then
    return '\2' .. sub(w.head, 2)
  elseif is ~= 2 or was ~= 2 or byte(w.cur, 3) == 4 then
    return w.head
  end
end

local function store(w)
  local was, head = false, w.head
  if w.cur then
    was = byte(w.cur, 2)
    w.rec = keep(w.rec, w.cur)
    head = told(w, was)
  end
  if byte(w.rec, 2) == 1 then live(w, was) else dead(w, was) end
  if head then announce(head, sub(w.rec, 4, 15), sub(w.rec, 52, 73), w.id) end
end

local function put(k, a)
  local writes = {}
  a = a + 2
  for i = 1, tonumber(A[a-1]) do
    local w = {s = K[k+1], u = K[k+2], x = K[k+3], t = K[k+4], e = K[k+5], id = sub(K[k+1], before_id),
      rec = A[a+1], base = A[a+2], ack = A[a+3], reap = A[a+4], due = A[a+5], head = A[a+6]}
    k = k + 5
    if A[a+7] == '1' then k = k + 1; w.p = K[k] end
    a = a + 7
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
  local s, to = K[k+1], A[a+1]
  local h = call('GETRANGE', s, '0', '78')
  if h == '' then return 2 end
  if byte(known(h), 2) ~= 1 then return ended(s, h) end
  local at, last, access = unpack6('>I6', to), deadline(h)
  if at >= last then return 2 end
  if at > access then
    call('SETRANGE', s, '39', to)
    announce(A[a+2], sub(h, 4, 15), sub(h, 52, 73), sub(s, before_id))
  end
  return 1
end

-- spared is touch where the server is full: a touch takes no memory, so room is
-- made in the feed for its change.
local function spared(k, a)
  call('XTRIM', K[1], 'MAXLEN', '~', A[1])
  return touch(k, a)
end

local function plant(k, a)
  local rec, id = A[a+3], sub(K[k+1], before_id)
  if rec == '' then return 2 end
  call('ZREM', K[k+2], id)
  call('SET', K[k+1], rec, 'EXAT', A[a+4])
  call('ZADD', K[k+3], A[a+5], id)
  announce('\4' .. sub(rec, 3, 3), sub(rec, 4, 15), sub(rec, 52, 73), id)
  return 2
end

local function remove(k, a)
  local s, mark = K[k+1], A[a+2]
  local cur = call('GET', s)
  if not cur then return plant(k, a) end
  if byte(whole(cur), 2) ~= 1 then return ended(s, cur) end
  local horizon = unpack6('>I6', cur, 34) + skew
  local user, id = sub(cur, 52, 73), sub(s, before_id)
  call('ZREM', K[k+2], id)
  call('ZREM', A[a+1] .. user, id)
  call('SET', s, tombstone(cur, mark), 'PXAT', math.max(horizon, today) + 3600000)
  call('ZADD', K[k+3], horizon, id)
  announce('\4' .. sub(mark, 1, 1), sub(mark, 2), user, id)
  return {1, 0, 0, cur}
end

local function isFull(failure)
  return string.find(type(failure) == 'table' and failure.err or failure, 'OOM ', 1, true)
end

local k, a, last = 1, 4, #A
local found, nth = {}, 1
while a < last do
  local op, ok, result = A[a+1]
  if op == 'c' then
    if nth > #found then found, nth = epochs(k, a + 1), 1 end
    ok, result = pcall(create, k, a + 1, found[nth])
    nth, k, a = nth + 1, k + 4, a + 5
  elseif op == 't' then
    ok, result = pcall(touch, k, a + 1)
    if not ok and isFull(result) then ok, result = pcall(spared, k, a + 1) end
    k, a = k + 1, a + 3
  elseif op == 'r' then
    ok, result = pcall(remove, k, a + 1)
    k, a = k + 3, a + 6
  elseif op == 'h' then
    ok, result = pcall(probe, k)
    k, a = k + 3, a + 1
  else
    ok, result = pcall(put, k, a + 1)
    k, a = k + A[a+3], a + 3 + 7 * A[a+2]
  end
  if op ~= 'c' then found, nth = {}, 1 end
  if not ok then result = failed(result) end
  out[#out + 1] = result
end
publish(K[1], A[1])
return out
`

// luaIndex only indexes a session.
//
//	KEYS user index
//	ARGV id, reap, caller's time
const luaIndex = luaCommon + luaIndexing + `
index(KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]))
return 1
`

const luaIndexing = `
-- raise has a user's index live until a time, and drops what has ended from it.
local function raise(u, reap, today)
  call('EXPIREAT', u, reap)
  call('ZREMRANGEBYSCORE', u, '-inf', math.floor(today / 1000))
end

-- index puts a session into its user's index. The member '.' has the time until
-- which the index lives as its score: a second change says that it was raised.
local function index(u, id, reap, today)
  if call('ZADD', u, 'GT', 'CH', reap, id, reap, '.') == 2 then raise(u, reap, today) end
end
`
