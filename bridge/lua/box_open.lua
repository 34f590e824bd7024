-- Makes the keys of a new mailbox: an inbox that has had one entry, and the epoch.
-- KEYS {mBOX}:inbox, {mBOX}:meta
if redis.call('HEXISTS', KEYS[2], 'epoch') == 1 then return 1 end
redis.call('XADD', KEYS[1], '1-0', 'b', '')
redis.call('XDEL', KEYS[1], '1-0')
redis.call('HSET', KEYS[2], 'epoch', 1, 'pos', 1)
return 1
