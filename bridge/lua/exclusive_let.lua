#!lua flags=allow-oom
-- Gives a filter free if the client holds it.
-- KEYS {xFILTER}:x
-- ARGV client id
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('UNLINK', KEYS[1]) end
return 1
