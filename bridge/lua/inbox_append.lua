-- Appends a batch to an inbox. One that was appended before is not appended again.
-- KEYS {mBOX}:inbox, {mBOX}:meta
-- ARGV field of the sender, number of the batch, the batch, entries the inbox may have
-- Answers 1; 0 when the inbox is full; -1 when the mailbox does not exist.
local m = redis.call('HMGET', KEYS[2], 'epoch', ARGV[1])
if not m[1] then return -1 end
if m[2] and tonumber(m[2]) >= tonumber(ARGV[2]) then return 1 end
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[4]) then return 0 end
local pos = redis.call('HINCRBY', KEYS[2], 'pos', 1)
if not redis.call('XADD', KEYS[1], 'NOMKSTREAM', string.format('%.0f-0', pos), 'b', ARGV[3]) then return -1 end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
return 1
