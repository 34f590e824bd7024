-- Trims an inbox up to the entry below which everything has been done.
-- KEYS {mBOX}:inbox, {mBOX}:meta
-- ARGV epoch, first entry that stays
-- Answers 1, or 0 when the mailbox is another's.
if redis.call('HGET', KEYS[2], 'epoch') ~= ARGV[1] then return 0 end
redis.call('XTRIM', KEYS[1], 'MINID', '=', ARGV[2])
return 1
