#!lua
-- Moves a session to whoever claims it, if the claim is still the record's.
-- KEYS {sID}:s
-- ARGV owner tag, token, owner tag of who claims, since, overlap (ids)
-- Answers 1 when it is the claimant's, also when it was before; 0 when it stays.
local s = redis.call('HMGET', KEYS[1], 'o', 't', 'b', 'since')
if s[1] == ARGV[3] and s[4] == ARGV[4] then return 1 end
if s[1] ~= ARGV[1] or s[2] ~= ARGV[2] or s[3] ~= ARGV[3] then return 0 end
redis.call('HSET', KEYS[1], 'o', ARGV[3], 'since', ARGV[4], 'overlap', ARGV[5])
redis.call('HDEL', KEYS[1], 't', 'b', 'p', 'a')
return 1
