#!lua
-- Takes over a session of a mailbox whose epoch has risen: its owner tag rises, and is
-- never lowered. A session that was on its way there stays where it is.
-- KEYS {sID}:s
-- ARGV mailbox, epoch
-- Answers {0} when the session is not there, {1, head, filters} of one that is, {2} when
-- another epoch's owner has it.
local s = redis.call('HMGET', KEYS[1], 'o', 'b')
local owner, claimant = s[1], s[2]
if not owner then return { 0 } end
local box, epoch = string.match(owner, '^(%S+) (%d+)$')
if box ~= ARGV[1] then
  if claimant and string.match(claimant, '^(%S+) ') == ARGV[1] then
    redis.call('HDEL', KEYS[1], 't', 'b', 'p')
  end
  return { 0 }
end
if tonumber(epoch) > tonumber(ARGV[2]) then return { 2 } end
redis.call('HSET', KEYS[1], 'o', ARGV[1] .. ' ' .. ARGV[2])
return { 1, redis.call('HGETALL', KEYS[1]), redis.call('HGETALL', string.sub(KEYS[1], 1, -2) .. 'f') }
