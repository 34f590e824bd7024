-- Raises the epoch beside an inbox, after the lease was taken.
-- KEYS {mBOX}:meta
-- ARGV epoch
-- Answers 1; 0 when a later owner has been there; -1 when the mailbox does not exist.
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if not epoch then return -1 end
if tonumber(epoch) > tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'epoch', ARGV[1])
return 1
