#!lua
-- Forgets what a move left behind, when nothing that was matched before it can come.
-- KEYS {sID}:s
-- ARGV owner tag, since
local s = redis.call('HMGET', KEYS[1], 'o', 'since')
if s[1] == ARGV[1] and s[2] == ARGV[2] then redis.call('HDEL', KEYS[1], 'since', 'overlap') end
return 1
