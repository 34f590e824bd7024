-- Deletes a mailbox: nothing is in it, nobody lives there, nobody sends there.
-- KEYS {mBOX}:meta, then its other keys
-- ARGV epoch
-- Answers 1, or 0 when it is another's.
local epoch = redis.call('HGET', KEYS[1], 'epoch')
if epoch and epoch ~= ARGV[1] then return 0 end
redis.call('DEL', unpack(KEYS))
return 1
