-- Extends leases that have not run out, and looks at all others.
-- KEYS leases
-- ARGV owner, lease (ms), then for each own row: box, epoch, generation
-- Answers {Redis' clock in ms, {for each own row: 1 extended, 0 run out, -1 another's},
-- {boxes that have run out and are no own ones}, {boxes whose row cannot be read}}.
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local function parse(row) return string.match(row, '^(%S+) (%d+) (%d+) (%d+) ([pa])$') end
local states, own = {}, {}
for i = 3, #ARGV, 3 do
  own[ARGV[i]] = true
  local row = redis.call('HGET', KEYS[1], ARGV[i])
  local state = -1
  if row then
    local owner, epoch, generation, deadline, kind = parse(row)
    if owner == ARGV[1] and epoch == ARGV[i + 1] then
      state = 0
      if generation == ARGV[i + 2] and tonumber(deadline) > now then
        state = 1
        redis.call('HSET', KEYS[1], ARGV[i],
          string.format('%s %s %s %.0f %s', owner, epoch, generation, now + ARGV[2], kind))
      end
    end
  end
  states[#states + 1] = state
end
local out, bad = {}, {}
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local owner, _, _, deadline = parse(all[i + 1])
  if not owner then
    bad[#bad + 1] = all[i]
  elseif not own[all[i]] and tonumber(deadline) <= now then
    out[#out + 1] = all[i]
  end
end
return {now, states, out, bad}
