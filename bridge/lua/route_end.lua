-- Answers the position of the last route change. When Redis has lost some that were
-- applied, their numbers are not given again.
-- KEYS {r}:meta
-- ARGV position that was applied
local pos = tonumber(redis.call('HGET', KEYS[1], 'pos') or '0')
if pos < tonumber(ARGV[1]) then redis.call('HSET', KEYS[1], 'pos', ARGV[1]) end
return pos
