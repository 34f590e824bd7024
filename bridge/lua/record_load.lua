#!lua flags=no-writes
-- Reads a session without what is queued: head, filters, what is in flight, received
-- packet identifiers, walks through the retained messages.
-- KEYS {sID}:s
-- ARGV owner tag, or empty for any
-- Answers 0 when there is no session, 1 when another owner holds it, or {head, filters, {id,
-- state, entry} of each in flight, received, walks, id of the last entry that ever was}.
local call = redis.call
local base = string.sub(KEYS[1], 1, -2)
local head = call('HGETALL', KEYS[1])
local s = {}
for i = 1, #head, 2 do s[head[i]] = head[i + 1] end
if ARGV[1] ~= '' and s.o and s.o ~= ARGV[1] then return 1 end
if not s.g then return 0 end
local flying = {}
local w = call('HGETALL', base .. 'w')
for i = 1, #w, 2 do
  local e = call('XRANGE', base .. 'q', w[i], w[i])
  if e[1] then flying[#flying + 1] = { w[i], w[i + 1], e[1][2][2] } end
end
local last = ''
if call('EXISTS', base .. 'q') == 1 then
  local info = call('XINFO', 'STREAM', base .. 'q')
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then last = info[i + 1] end
  end
end
return { head, call('HGETALL', base .. 'f'), flying, call('HGETALL', base .. 'r'), call('HGETALL', base .. 'c'), last }
