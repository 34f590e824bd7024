-- Has an inbox go on behind the last entry that was read, whatever Redis has lost.
-- KEYS {mBOX}:meta
-- ARGV epoch, position
-- Answers 1, or 0 when the mailbox is another's.
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
if tonumber(redis.call('HGET', KEYS[1], 'pos') or '0') < tonumber(ARGV[2]) then
  redis.call('HSET', KEYS[1], 'pos', ARGV[2])
end
return 1
