-- Takes a lease again that has run out and that nobody else took: a new generation.
-- KEYS leases, {r}:meta
-- ARGV box, owner, epoch, lease (ms)
-- Answers {generation, position of the last route change}, or {0, 0} when it is another's.
-- Repeated it gives another generation and a later position, which is as good.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local row = redis.call('HGET', KEYS[1], ARGV[1])
if not row then return {0, 0} end
local owner, epoch, generation, _, kind = string.match(row, '^(%S+) (%d+) (%d+) (%d+) ([pa])$')
if owner ~= ARGV[2] or epoch ~= ARGV[3] then return {0, 0} end
generation = generation + 1
redis.call('HSET', KEYS[1], ARGV[1], string.format('%s %s %.0f %.0f %s', owner, epoch, generation, now + ARGV[4], kind))
return {generation, tonumber(redis.call('HGET', KEYS[2], 'pos') or '0')}
