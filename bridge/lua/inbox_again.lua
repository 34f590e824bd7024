-- Gives an entry a new position, behind all others.
-- KEYS {mBOX}:inbox, {mBOX}:meta
-- ARGV epoch, id
-- Answers 1, or 0 when the mailbox is another's. Repeated it does nothing.
if redis.call('HGET', KEYS[2], 'epoch') ~= ARGV[1] then return 0 end
local found = redis.call('XRANGE', KEYS[1], ARGV[2], ARGV[2])
if #found == 0 then return 1 end
local pos = redis.call('HINCRBY', KEYS[2], 'pos', 1)
redis.call('XADD', KEYS[1], string.format('%.0f-0', pos), unpack(found[1][2]))
redis.call('XDEL', KEYS[1], ARGV[2])
return 1
