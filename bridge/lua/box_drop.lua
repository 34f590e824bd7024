-- Deletes a mailbox: nothing is in it, nobody lives there, nobody sends there.
-- KEYS {mBOX}:meta, {mBOX}:sessions, then its other keys
-- ARGV epoch
-- Answers 1, 0 when it is another's, or -1 when sessions are still entered.
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch and epoch ~= ARGV[1] then return 0 end
if redis.call('EXISTS', KEYS[2]) == 1 then return -1 end
redis.call('DEL', unpack(KEYS))
return 1
