#!lua
-- Moves a session from an adopted mailbox to the own one of the same process, unless
-- somebody claims it.
-- KEYS {sID}:s
-- ARGV owner tag, owner tag of the own mailbox, since, overlap (ids)
-- Answers 1 when it is there, also when it was before; 0 when it stays.
local s = redis.call('HMGET', KEYS[1], 'o', 't', 'since')
if s[1] == ARGV[2] and s[3] == ARGV[3] then return 1 end
if s[1] ~= ARGV[1] or s[2] then return 0 end
redis.call('HSET', KEYS[1], 'o', ARGV[2], 'since', ARGV[3], 'overlap', ARGV[4])
redis.call('HDEL', KEYS[1], 'b', 'p', 'a')
return 1
