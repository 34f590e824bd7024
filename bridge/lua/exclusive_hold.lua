#!lua
-- Makes a client the holder of a filter that nobody holds.
-- KEYS {xFILTER}:x
-- ARGV client id
-- Answers 1, or the holder when it is another client.
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return holder end
redis.call('SET', KEYS[1], ARGV[1])
return 1
