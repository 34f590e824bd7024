#!lua
-- Forgets what moves left behind, when nothing that was matched before them can come.
-- KEYS {sID}:s of each session
-- ARGV owner tag, then since of each
for i, key in ipairs(KEYS) do
  local s = redis.call('HMGET', key, 'o', 'since')
  if s[1] == ARGV[1] and s[2] == ARGV[i + 1] then redis.call('HDEL', key, 'since', 'overlap') end
end
return 1
