-- Changes what a mailbox subscribes to: its set and the stream in one step. An empty
-- change is a position and nothing else.
-- KEYS leases, {r}:meta, routes, {r}:set:BOX
-- ARGV box, owner, epoch, entry of the stream, length that the stream is trimmed to,
--      number of removed keys, the removed keys, then key and members online of each other
-- Answers the position, or 0 when the mailbox is another's. Repeated it is another entry
-- with the same content, which changes nothing.
local row = redis.call('HGET', KEYS[1], ARGV[1])
if not row then return 0 end
local owner, epoch = string.match(row, '^(%S+) (%d+) ')
if owner ~= ARGV[2] or epoch ~= ARGV[3] then return 0 end
local first = 7 + ARGV[6]
for i = 7, first - 1 do redis.call('HDEL', KEYS[4], ARGV[i]) end
for i = first, #ARGV, 2 do redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 1]) end
local pos = redis.call('HINCRBY', KEYS[2], 'pos', 1)
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[5], string.format('%.0f-0', pos), 'b', ARGV[4])
return pos
