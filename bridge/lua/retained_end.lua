#!lua flags=no-writes
-- Reads where logs of retained messages end.
-- KEYS {tN}:log
-- Answers a position for each, 0 when there was none.
local out = {}
for i, key in ipairs(KEYS) do
  local top = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)
  local id = top[1] and top[1][1] or '0-0'
  if not top[1] and redis.call('EXISTS', key) == 1 then -- trimmed to nothing
    local info = redis.call('XINFO', 'STREAM', key)
    for k = 1, #info, 2 do
      if info[k] == 'last-generated-id' then id = info[k + 1] end
    end
  end
  out[i] = string.match(id, '^(%d+)')
end
return out
