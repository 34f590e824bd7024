#!lua
-- Announces the newest format that an instance reads, and raises the one that is written
-- to what every live instance reads. The identity is what tells this data from other.
-- KEYS {r}:meta, leases, {r}:formats
-- ARGV own mailbox, format, a random value
-- Answers {format that is written, identity}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('HSETNX', KEYS[1], 'identity', ARGV[3])
redis.call('HSETNX', KEYS[1], 'format', ARGV[2])
local written = tonumber(redis.call('HGET', KEYS[1], 'format'))
local identity = redis.call('HGET', KEYS[1], 'identity')
local own = tonumber(ARGV[2])
if written > own then return { written, identity } end
redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
local least = own
local announced = redis.call('HGETALL', KEYS[3])
for i = 1, #announced, 2 do
  local row = redis.call('HGET', KEYS[2], announced[i])
  local deadline = row and string.match(row, '^%S+ %d+ %d+ (%d+) p$')
  if deadline and tonumber(deadline) > now then
    least = math.min(least, tonumber(announced[i + 1]))
  elseif announced[i] ~= ARGV[1] then
    redis.call('HDEL', KEYS[3], announced[i])
  end
end
if least > written then
  written = least
  redis.call('HSET', KEYS[1], 'format', written)
end
return { written, identity }
