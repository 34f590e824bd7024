-- Says up to where every live process has applied the route changes. A process that has
-- not and whose lease has run out is not waited for: its lease is ended, so that what it
-- still has on its way is never acknowledged. (1 ended, 0 given free: both are long past.)
-- KEYS leases, reports
-- ARGV the position that is waited for, 1 when leases may be ended
-- Answers {lowest position reported (-1 when no process has a lease), leases ended, then
-- for each live process: box, position}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local wanted = tonumber(ARGV[1])
local low, ended = -1, 0
local answer = {0, 0}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local owner, epoch, generation, deadline, kind = string.match(all[i + 1], '^(%S+) (%d+) (%d+) (%d+) ([pa])$')
  if kind == 'p' and tonumber(deadline) > 1 then
    local at = tonumber(redis.call('HGET', KEYS[2], all[i]) or '0')
    if tonumber(deadline) <= now and at < wanted and ARGV[2] == '1' then
      redis.call('HSET', KEYS[1], all[i], string.format('%s %s %s 1 %s', owner, epoch, generation, kind))
      ended = ended + 1
    else
      if low < 0 or at < low then low = at end
      answer[#answer + 1] = all[i]
      answer[#answer + 1] = at
    end
  end
end
answer[1], answer[2] = low, ended
return answer
