-- Takes a mailbox whose lease has run out: the next epoch.
-- KEYS leases
-- ARGV box, owner, lease (ms)
-- Answers {epoch, generation, 1 if it was released in order}, or {0, 0} when there is
-- nothing to take. Repeated it answers as the first time, but for the third.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local row = redis.call('HGET', KEYS[1], ARGV[1])
if not row then return {0, 0} end
local owner, epoch, generation, deadline = string.match(row, '^(%S+) (%d+) (%d+) (%d+) ([pa])$')
if not owner then return {0, 0} end
if tonumber(deadline) > now then
  if owner == ARGV[2] then return {tonumber(epoch), tonumber(generation)} end
  return {0, 0}
end
epoch = epoch + 1
redis.call('HSET', KEYS[1], ARGV[1], string.format('%s %.0f 1 %.0f a', ARGV[2], epoch, now + ARGV[3]))
return {epoch, 1, tonumber(deadline) == 0 and 1 or 0}
