#!lua flags=no-writes
-- Reads queued entries of a session, in order, without those whose delivery has begun.
-- KEYS {sID}:s
-- ARGV id that comes before the first, how many, how many bytes beyond the first
-- Answers 0 when there is no session, or id and entry of each.
local call = redis.call
local base = string.sub(KEYS[1], 1, -2)
if call('HEXISTS', KEYS[1], 'g') == 0 then return 0 end
local from, max, room = '(' .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local busy = call('EXISTS', base .. 'w') == 1
local out, step = {}, math.min(max, 256)
while #out < 2 * max do
  local got = call('XRANGE', base .. 'q', from, '+', 'COUNT', step)
  if #got == 0 then break end
  local states = {}
  if busy then
    local ids = {}
    for i, e in ipairs(got) do ids[i] = e[1] end
    states = call('HMGET', base .. 'w', unpack(ids))
  end
  for i, e in ipairs(got) do
    local state = states[i]
    if not state or string.byte(state, 2) == 0 then
      local value = e[2][2]
      room = room - #value
      if #out > 0 and (room < 0 or #out >= 2 * max) then return out end
      out[#out + 1] = e[1]
      out[#out + 1] = value
    end
  end
  if #got < step then break end
  from = '(' .. got[#got][1]
end
return out
