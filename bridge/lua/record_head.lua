#!lua flags=no-writes
-- Reads the head and the filters of a session.
-- KEYS {sID}:s
-- Answers 0 when there is none, or {head, filters}.
local s = redis.call('HGETALL', KEYS[1])
if #s == 0 then return 0 end
return { s, redis.call('HGETALL', string.sub(KEYS[1], 1, -2) .. 'f') }
