-- Changes what a mailbox subscribes to: its set and the stream in one step. An empty
-- change is a position and nothing else.
-- KEYS leases, {r}:meta, routes, {r}:set:BOX
-- ARGV box, owner, epoch, number of the change, entry of the stream, length that the stream is
--      trimmed to, number of removed keys, the removed keys, then key and members online of
--      each other
-- Answers the position, or 0 when the mailbox is another's. One that was made before is not made
-- again: it may arrive late, when what it says is not true any more. The field "" of the set
-- has epoch, number and position of the last one.
local row = redis.call('HGET', KEYS[1], ARGV[1])
if not row then return 0 end
local owner, epoch = string.match(row, '^(%S+) (%d+) ')
if owner ~= ARGV[2] or epoch ~= ARGV[3] then return 0 end
local said = redis.call('HGET', KEYS[4], '')
if said then
  local e, n, at = string.match(said, '^(%d+) (%d+) (%d+)$')
  if e == epoch and tonumber(n) >= tonumber(ARGV[4]) then return tonumber(at) end
end
local first = 8 + ARGV[7]
for i = 8, first - 1 do redis.call('HDEL', KEYS[4], ARGV[i]) end
for i = first, #ARGV, 2 do redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 1]) end
local pos = redis.call('HINCRBY', KEYS[2], 'pos', 1)
redis.call('HSET', KEYS[4], '', string.format('%s %s %.0f', epoch, ARGV[4], pos))
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[6], string.format('%.0f-0', pos), 'b', ARGV[5])
return pos
