-- Gives leases free, and tells the others so that one takes the mailboxes at once.
-- KEYS leases, {r}:sig
-- ARGV PUBLISH or SPUBLISH, owner, then for each row: box, epoch
-- Answers how many were own.
local n = 0
for i = 3, #ARGV, 2 do
  local row = redis.call('HGET', KEYS[1], ARGV[i])
  if row then
    local owner, epoch, generation, _, kind = string.match(row, '^(%S+) (%d+) (%d+) (%d+) ([pa])$')
    if owner == ARGV[2] and epoch == ARGV[i + 1] then
      redis.call('HSET', KEYS[1], ARGV[i], string.format('%s %s %s 0 %s', owner, epoch, generation, kind))
      n = n + 1
    end
  end
end
if n > 0 then redis.call(ARGV[1], KEYS[2], 'released') end
return n
