-- Opens the lease of a new mailbox, a process's own.
-- KEYS leases
-- ARGV box, owner, lease (ms)
-- Answers Redis' clock in ms, or 0 when the row is another's.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local row = redis.call('HGET', KEYS[1], ARGV[1])
if row and string.match(row, '^(%S+) ') ~= ARGV[2] then return 0 end
if not row then
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%s 1 1 %.0f p', ARGV[2], now + ARGV[3]))
end
return now
