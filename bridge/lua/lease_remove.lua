-- Removes a mailbox from what all instances share. Its own keys are gone already.
-- KEYS leases, reports, {r}:set:BOX
-- ARGV box, owner, epoch
-- Answers 1, or 0 when it is another's.
local row = redis.call('HGET', KEYS[1], ARGV[1])
if not row then return 1 end
local owner, epoch = string.match(row, '^(%S+) (%d+) ')
if owner ~= ARGV[2] or epoch ~= ARGV[3] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[3])
return 1
