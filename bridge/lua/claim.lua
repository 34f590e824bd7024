#!lua
-- Makes a client id this process's if it is nobody's or lives in the own mailbox, and claims
-- a session that lives elsewhere, outlives its connection and may be had, in the place of
-- every older claim.
-- KEYS {sID}:s
-- ARGV owner tag of the own mailbox, the mailbox, token, user of the client, 'u' when it has
-- one, '*' when every user's session may be had, else ''
-- Answers {0} for an id that was nobody's and is ours now, {1, owner, figures or ''} for one
-- of the own mailbox, which nobody else's claim takes away any more, {2, owner, head or '',
-- figures or ''} for one that lives elsewhere, {3, ...} for one that was claimed. Repeated,
-- the first is the second.
local s = redis.call('HMGET', KEYS[1], 'o', 'g', 'h')
local owner, head = s[1], s[3]
if not owner then
  redis.call('HSET', KEYS[1], 'o', ARGV[1])
  return { 0 }
end
if owner == ARGV[1] then
  redis.call('HDEL', KEYS[1], 't', 'b', 'p')
  return { 1, owner, s[2] or '' }
end

local pos = 4
local function uvarint()
  local n, factor = 0, 1
  while true do
    local c = string.byte(head, pos)
    if not c then return 0 end
    n, factor, pos = n + (c % 128) * factor, factor * 128, pos + 1
    if c < 128 then return n end
  end
end

-- What a head begins with: version, flags (1: it has a user), version of MQTT, client id,
-- user, epoch, expiry.
local function mayBeHad()
  if not s[2] or not head or string.byte(head, 1) ~= 1 then return false end
  local hasUser = string.byte(head, 2) % 2 == 1
  local size = uvarint() -- it moves pos
  pos = pos + size
  size = uvarint()
  local user = string.sub(head, pos, pos + size - 1)
  pos = pos + size
  uvarint()
  if uvarint() == 0 then return false end
  return not hasUser or ARGV[5] == '*' or ARGV[5] == 'u' and user == ARGV[4]
end

if not mayBeHad() then return { 2, owner, head or '', s[2] or '' } end
redis.call('HSET', KEYS[1], 't', ARGV[3], 'b', ARGV[1])
redis.call('HDEL', KEYS[1], 'p')
return { 3, owner, head, s[2] }
