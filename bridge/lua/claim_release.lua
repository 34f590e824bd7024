#!lua
-- Gives a client id free that no session came of.
-- KEYS {sID}:s
-- ARGV owner tag
local s = redis.call('HMGET', KEYS[1], 'o', 'g')
if s[1] == ARGV[1] and not s[2] then redis.call('DEL', KEYS[1]) end
return 1
