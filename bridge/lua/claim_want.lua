#!lua
-- Claims a session that lives elsewhere, in the place of every older claim.
-- KEYS {sID}:s
-- ARGV owner as it was read, token, owner tag of who claims
-- Answers 1, or 0 when the owner is another by now.
if redis.call('HGET', KEYS[1], 'o') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 't', ARGV[2], 'b', ARGV[3])
redis.call('HDEL', KEYS[1], 'p')
return 1
