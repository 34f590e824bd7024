#!lua
-- Says in the record that the owner is ready to hand a session over.
-- KEYS {sID}:s
-- ARGV owner tag, token
-- Answers 1, or 0 when the claim or the owner is another by now.
local s = redis.call('HMGET', KEYS[1], 'o', 't')
if s[1] ~= ARGV[1] or s[2] ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], 'p', ARGV[2])
return 1
