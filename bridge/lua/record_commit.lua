#!lua
-- Writes batches of sessions, of mailboxes and of retained messages, each part for itself:
-- refused when another owner holds the session, and not done again when its number has
-- been. A part whose keys are damaged does not keep the others from being done.
-- KEYS of each part {sID}:s; {mBOX}:meta when it is a mailbox's alone; {tN}:h
-- ARGV Unix seconds, seconds for which a message id is known, 1 when what is a mailbox's alone
--      comes in the order of its numbers, then for each part owner tag, header, [what keys of a mailbox begin with, its epoch], and what the
--      groups have; of retained messages: the sender, its lease in ns, the {mBOX}:meta of
--      the sender and its epoch (empty where they cannot be looked at: a Redis Cluster),
--      then topic, value and 's' or 'd' of each. Header: number of the batch (8 bytes), how many arguments follow it
--      (4), flags, then for each group its kind and how many arguments it has (2).
--      Most parts change a queue and nothing else. Their header has six bytes: how many
--      entries go, states go, entries, states and ids of messages come, and 1 when a
--      position does; then come figures and these.
-- Answers part and what happened for each part that was not done: 1 another owner,
-- 2 no session, or an error.
local call, trial, bytes, unpack = redis.call, redis.pcall, struct.unpack, unpack
local CREATE, WIPE, ENDS, LIVE, NODE, BOX, RETAIN = 1, 2, 4, 8, 16, 32, 64
local now, window = ARGV[1], ARGV[2]
local ENTRIES, STATES, KNOWN = 3, 5, 12
local kinds = {
  { 'XDEL', 'q' }, { 'HDEL', 'w' }, { 'XADD', 'q' }, { 'HSET', 'w' }, { 'HSET', 'w' },
  { 'HDEL', 'f' }, { 'HSET', 'f' }, { 'HDEL', 'r' }, { 'HSET', 'r' }, { 'HDEL', 'c' }, { 'HSET', 'c' },
  { 'ZADD', 'k' }, { 'HSET', 's' },
  { 'HDEL', 'groups', true }, { 'HSET', 'groups', true }, { 'HDEL', 'delayed', true }, { 'HSET', 'delayed', true },
}

local function has(flags, flag) return flags % (2 * flag) >= flag end

-- The id of the last entry that a stream had.
local function lastID(key)
  local top = call('XREVRANGE', key, '+', '-', 'COUNT', 1)
  if top[1] then return top[1][1] end
  if call('EXISTS', key) == 0 then return '0-0' end
  local info = call('XINFO', 'STREAM', key)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then return info[i + 1] end
  end
end

-- Puts an entry before the last one of a queue, or in the place of one.
local function insert(base, id, value, refused)
  if not string.find(refused.err, 'equal or smaller', 1, true) then error(refused) end
  local q = base .. 'q'
  local info, last = call('XINFO', 'STREAM', q), nil
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last = info[i + 1] end
  end
  local tail = call('XRANGE', q, id, '+')
  for _, e in ipairs(tail) do call('XDEL', q, e[1]) end
  call('XSETID', q, (string.gsub(id, '1$', '0')))
  call('XADD', q, id, 'd', value)
  for _, e in ipairs(tail) do
    if e[1] ~= id then call('XADD', q, e[1], 'd', e[2][2]) end
  end
  call('XSETID', q, last)
  call('HDEL', base .. 'w', id)
end

local function entries(base, from, to)
  local q = base .. 'q'
  for i = from, to, 2 do
    local r = trial('XADD', q, ARGV[i], 'd', ARGV[i + 1])
    if type(r) == 'table' then insert(base, ARGV[i], ARGV[i + 1], r) end
  end
end

-- States of which it is not known whether they have an entry.
local function states(base, from, to)
  for i = from, to, 2 do
    if #call('XRANGE', base .. 'q', ARGV[i], ARGV[i]) > 0 then
      call('HSET', base .. 'w', ARGV[i], ARGV[i + 1])
    end
  end
end

-- Ids of messages that must not be taken twice. An id is kept for the window at least:
-- the sender says 'x' behind them when it has not moved the key's end for half of that.
local function known(base, n, from, to)
  local k = base .. 'k'
  call('ZADD', k, unpack(ARGV, from, to))
  if ARGV[to + 1] == 'x' then call('EXPIRE', k, 2 * window) end
  if n % 64 == 0 then call('ZREMRANGEBYSCORE', k, '-inf', now - window) end
end

-- Nil if a session's part may go on; otherwise the answer, and whether what is a
-- mailbox's is to be written nevertheless.
local function judge(key, tag, n, flags)
  local s = call('HMGET', key, 'o', 'g')
  local owner, figures = s[1], s[2]
  if not owner then
    if has(flags, ENDS) then return nil end
    if not has(flags, CREATE) then return 1 end
    if not has(flags, LIVE) then return 2 end
    return nil
  end
  if owner ~= tag then return 1 end
  if figures then
    if bytes('<I8', figures, 2) >= n then return 0 end
    if has(flags, CREATE) then return 1 end
  elseif not has(flags, LIVE) and not has(flags, ENDS) then
    return 2
  end
  return nil
end

-- What a message's record begins with: its publisher, the halves of its id, its time,
-- and the length of all that.
local function origin(v)
  if not v or #v < 27 or string.byte(v, 1) ~= 1 then return nil end
  local pos = 27
  if has(string.byte(v, 2), 8) then pos = pos + 8 end
  local size, factor = 0, 1
  repeat
    local c = string.byte(v, pos)
    if not c then return nil end
    size, factor, pos = size + (c % 128) * factor, factor * 128, pos + 1
  until c < 128
  local seq, created = bytes('<I8I8', v, 11)
  return { by = string.sub(v, pos, pos + size - 1), run = string.sub(v, 3, 10), seq = seq, created = created, size = pos + size - 1 }
end

-- Whether a publisher put something newer there: a process that was stopped for longer
-- than its lease must not bring an old value back. Where that can be seen it is refused
-- before, as its mailbox has another epoch; what it read late from its publisher is new by
-- the clock.
local function stale(old, new, lease)
  if not old or not new or old.by ~= new.by then return false end
  if old.run == new.run then return old.seq > new.seq end
  return old.created > new.created + lease
end

-- Forgets topics that were removed an hour ago.
local function forget(key, now)
  if call('HLEN', key) < 1024 then return end
  local some = call('HRANDFIELD', key, 8, 'WITHVALUES')
  for i = 1, #some, 2 do
    local o = origin(some[i + 1])
    if not o or o.created < now - 3.6e12 then call('HDEL', key, some[i]) end
  end
end

local function retain(key, n, at, to)
  local base, sender, lease = string.sub(key, 1, -2), ARGV[at], tonumber(ARGV[at + 1])
  local last = call('HGET', base .. 'n', sender)
  if last and tonumber(last) >= n then return 0 end
  if ARGV[at + 2] ~= '' and call('HGET', ARGV[at + 2], 'epoch') ~= ARGV[at + 3] then return 1 end
  local log, gone = base .. 'log', base .. 'd'
  local pos = tonumber(string.match(lastID(log), '^(%d+)'))
  for i = at + 4, to, 3 do
    local topic, value, op = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    local there = call('HGET', key, topic)
    local removed = not there and call('HGET', gone, topic)
    local new = origin(value)
    if not stale(origin(there or removed), new, lease) then
      if op == 'd' then
        call('HDEL', key, topic)
        if new then
          call('HSET', gone, topic, string.sub(value, 1, new.size))
          forget(gone, new.created)
        end
        value = ''
      else
        call('HSET', key, topic, value)
        if removed then call('HDEL', gone, topic) end
        if #value > 1024 then value = '' end
      end
      pos = pos + 1
      call('XADD', log, 'MAXLEN', '~', 4096, string.format('%.0f-0', pos), 't', topic, 'o', op, 'v', value)
    end
  end
  call('HSET', base .. 'n', sender, string.format('%.0f', n))
  return 0
end

local ordered = ARGV[3] == '1'

local function part(key, tag, header, n, flags, at, last)
  if has(flags, RETAIN) then return retain(key, n, at, last) end
  local base, box = string.sub(key, 1, -2), nil
  if has(flags, BOX) then
    box = ARGV[at]
    if call('HGET', box .. 'meta', 'epoch') ~= ARGV[at + 1] then return 1 end
    at = at + 2
  end
  if has(flags, NODE) then
    if ordered then
      local last = call('HGET', box .. 'meta', 'n')
      if last and tonumber(last) >= n then return 0 end
      call('HSET', box .. 'meta', 'n', string.format('%.0f', n))
    end
  else
    local answer = judge(key, tag, n, flags)
    if answer then return answer end
    if has(flags, WIPE) then
      call('UNLINK', key, base .. 'f', base .. 'q', base .. 'w', base .. 'r', base .. 'c', base .. 'k')
    end
  end
  local pos = 14
  while pos <= #header do
    local kind, count = bytes('<BI2', header, pos)
    pos = pos + 3
    local to = at + count - 1
    if kind == ENTRIES then
      entries(base, at, to)
    elseif kind == STATES then
      states(base, at, to)
    elseif kind == KNOWN then
      known(base, n, at, to - 1)
    else
      local k = kinds[kind]
      call(k[1], (k[3] and box or base) .. k[2], unpack(ARGV, at, to))
    end
    at = to + 1
  end
  return 0
end

-- A part of a session that is known and changes its queue only. It is the most common by
-- far, so it does as little as it can: an error is an answer here. Its number is compared
-- whether it was sent before or not: the first one may arrive behind its repetition.
local function queue(key, tag, at, gone, ungone, come, states, ids, position)
  local r = trial('HMGET', key, 'o', 'g')
  if r.err then return r.err end
  local owner, last = r[1], r[2]
  if owner ~= tag then return 1 end
  if not last then return 2 end
  local figures = ARGV[at]
  if bytes('<I8', last, 2) >= bytes('<I8', figures, 2) then return 0 end
  at = at + 1
  local base = string.sub(key, 1, -2)
  if gone > 0 then
    r = trial('XDEL', base .. 'q', unpack(ARGV, at, at + gone - 1))
    if type(r) == 'table' then return r.err end
    at = at + gone
  end
  if ungone > 0 then
    r = trial('HDEL', base .. 'w', unpack(ARGV, at, at + ungone - 1))
    if type(r) == 'table' then return r.err end
    at = at + ungone
  end
  for i = 1, come do
    r = trial('XADD', base .. 'q', ARGV[at], 'd', ARGV[at + 1])
    if type(r) == 'table' then
      local ok, err = pcall(insert, base, ARGV[at], ARGV[at + 1], r)
      if not ok then return type(err) == 'table' and err.err or tostring(err) end
    end
    at = at + 2
  end
  if states > 0 then
    r = trial('HSET', base .. 'w', unpack(ARGV, at, at + 2 * states - 1))
    if type(r) == 'table' then return r.err end
    at = at + 2 * states
  end
  if ids > 0 then
    local ok, err = pcall(known, base, bytes('<I8', figures, 2), at, at + 2 * ids - 1)
    if not ok then return type(err) == 'table' and err.err or tostring(err) end
    at = at + 2 * ids + 1
  end
  if position > 0 then
    r = trial('HSET', key, 'g', figures, 'a', ARGV[at])
  else
    r = trial('HSET', key, 'g', figures)
  end
  if type(r) == 'table' then return r.err end
  return 0
end

local out, at = {}, 4
for i, key in ipairs(KEYS) do
  local tag, header = ARGV[at], ARGV[at + 1]
  local ok, answer
  if #header == 6 then
    local gone, ungone, come, states, ids, position = string.byte(header, 1, 6)
    ok, answer = true, queue(key, tag, at + 2, gone, ungone, come, states, ids, position)
    at = at + 3 + gone + ungone + 2 * (come + states + ids) + (ids > 0 and 1 or 0) + position
  else
    local n, args, flags = bytes('<I8I4B', header)
    ok, answer = pcall(part, key, tag, header, n, flags, at + 2, at + 1 + args)
    at = at + 2 + args
  end
  if not ok then
    out[#out + 1] = i
    out[#out + 1] = type(answer) == 'table' and answer.err or tostring(answer)
  elseif answer ~= 0 then
    out[#out + 1] = i
    out[#out + 1] = answer
  end
end
return out
