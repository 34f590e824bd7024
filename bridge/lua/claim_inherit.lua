#!lua
-- Takes a client id over whose mailbox does not exist: nobody can hand it over, and nothing
-- comes through that mailbox any more.
-- KEYS {sID}:s
-- ARGV owner as it was read, owner tag of the own mailbox
-- Answers 1, or 0 when the owner is another by now.
if redis.call('HGET', KEYS[1], 'o') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'o', ARGV[2])
redis.call('HDEL', KEYS[1], 't', 'b', 'p', 'a', 'since', 'overlap')
return 1
