-- Keeps an entry aside that cannot be read.
-- KEYS {mBOX}:bad, {mBOX}:meta
-- ARGV epoch, id of the entry, the entry, how many are kept
-- Answers 1, or 0 when the mailbox is another's.
if redis.call('HGET', KEYS[2], 'epoch') ~= ARGV[1] then return 0 end
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)
if #last > 0 and tonumber(string.match(last[1][1], '^%d+')) >= tonumber(string.match(ARGV[2], '^%d+')) then return 1 end
redis.call('XADD', KEYS[1], 'MAXLEN', ARGV[4], ARGV[2], 'b', ARGV[3])
return 1
