#!lua
-- Keeps a session in an adopted mailbox: nobody's claim takes it away any more.
-- KEYS {sID}:s
-- ARGV owner as it was read
-- Answers 1, or 0 when the owner is another by now.
if redis.call('HGET', KEYS[1], 'o') ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], 't', 'b', 'p')
return 1
