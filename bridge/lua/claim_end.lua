#!lua
-- Gives a claim up.
-- KEYS {sID}:s
-- ARGV token, owner tag of who claims
-- Answers 2 when the session has moved to it already, else 1.
local s = redis.call('HMGET', KEYS[1], 'o', 't')
if s[1] == ARGV[2] then return 2 end
if s[2] == ARGV[1] then redis.call('HDEL', KEYS[1], 't', 'b', 'p') end
return 1
