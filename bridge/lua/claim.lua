#!lua
-- Makes a client id this process's if it is nobody's, or lives in the own mailbox.
-- KEYS {sID}:s
-- ARGV owner tag of the own mailbox, the mailbox
-- Answers {0} for an id that was nobody's and is ours now, {1, owner, figures or ''} for one
-- of the own mailbox, which nobody else's claim takes away any more, {2, owner, head or '',
-- figures or ''} for one that lives elsewhere. Repeated, the first is the second.
local s = redis.call('HMGET', KEYS[1], 'o', 'g', 'h')
local owner = s[1]
if not owner then
  redis.call('HSET', KEYS[1], 'o', ARGV[1])
  return { 0 }
end
if owner == ARGV[1] then
  redis.call('HDEL', KEYS[1], 't', 'b', 'p')
  return { 1, owner, s[2] or '' }
end
return { 2, owner, s[3] or '', s[2] or '' }
