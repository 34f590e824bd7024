-- Reports up to where a process has applied the route changes.
-- KEYS reports, {r}:sig
-- ARGV PUBLISH or SPUBLISH, box, position
local before = tonumber(redis.call('HGET', KEYS[1], ARGV[2]) or '0')
if before >= tonumber(ARGV[3]) then return before end
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
redis.call(ARGV[1], KEYS[2], ARGV[2] .. ' ' .. ARGV[3])
return before
