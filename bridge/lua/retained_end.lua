#!lua flags=no-writes
-- Reads where logs of retained messages end.
-- KEYS {tN}:log
-- Answers a position for each, 0 when there was none.
local out = {}
for i, key in ipairs(KEYS) do
  local top = redis.call('XREVRANGE', key, '+', '-', 'COUNT', 1)
  out[i] = top[1] and string.match(top[1][1], '^(%d+)') or '0'
end
return out
