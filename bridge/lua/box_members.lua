#!lua
-- Changes which sessions live in a mailbox, or are on their way to it.
-- KEYS {mBOX}:meta
-- ARGV epoch of the mailbox, number of those that come, those, then those that go
-- Answers 1, or 0 when the mailbox is another's.
local call = redis.call
if call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
local key, first = string.sub(KEYS[1], 1, -5) .. 'sessions', 3 + ARGV[2]
for i = 3, first - 1, 1000 do call('SADD', key, unpack(ARGV, i, math.min(i + 999, first - 1))) end
for i = first, #ARGV, 1000 do call('SREM', key, unpack(ARGV, i, math.min(i + 999, #ARGV))) end
return 1
