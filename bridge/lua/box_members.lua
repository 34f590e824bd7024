#!lua
-- Changes which sessions live in a mailbox, or are on their way to it. A change may arrive late,
-- behind ones that were made after it, also a second time: the newest word on a session counts.
-- KEYS {mBOX}:meta
-- ARGV epoch of the mailbox, number of this change, number of those that come, those, then for
--      each that goes: id, number of the newest change that it may have come with
-- Answers 1, or 0 when the mailbox is another's.
local call = redis.call
if call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
local key, n, first = string.sub(KEYS[1], 1, -5) .. 'sessions', tonumber(ARGV[2]), 4 + ARGV[3]
for i = 4, first - 1 do
  local came = call('HGET', key, ARGV[i])
  if not came or tonumber(came) < n then call('HSET', key, ARGV[i], ARGV[2]) end
end
for i = first, #ARGV, 2 do
  local came = call('HGET', key, ARGV[i])
  if came and tonumber(came) <= tonumber(ARGV[i + 1]) then call('HDEL', key, ARGV[i]) end
end
return 1
