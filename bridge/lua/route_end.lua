-- Answers the position of the last route change. When Redis has lost some that were
-- applied, their numbers are not given again: an entry that nobody can read stands for the
-- last of them, so that whoever has not applied them loads all routes.
-- KEYS {r}:meta, routes
-- ARGV position that was applied
local pos = tonumber(redis.call('HGET', KEYS[1], 'pos') or '0')
if pos < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'pos', ARGV[1])
  redis.call('XADD', KEYS[2], ARGV[1] .. '-0', 'b', '')
end
return pos
