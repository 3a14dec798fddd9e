"""What the Redis bus does on the server in one step, in Lua."""

from __future__ import annotations

from typing import Final

PUBLISH_ONCE: Final = """
-- KEYS stream, the message id's key; ARGV seconds to remember it, message id, payload
if redis.call('SET', KEYS[2], '1', 'NX', 'EX', ARGV[1]) then
  return redis.call('XADD', KEYS[1], '*', 'id', ARGV[2], 'd', ARGV[3])
end
return false
"""

PUBLISH_AGAIN: Final = """
-- The answer to an XADD was lost: add it if it is not there. KEYS stream; ARGV position before, message id, payload
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+')) do
  if entry[2][2] == ARGV[2] then return entry[1] end
end
return redis.call('XADD', KEYS[1], '*', 'id', ARGV[2], 'd', ARGV[3])
"""

TEND: Final = """
-- Trim what all groups have finished, and tell how far the slowest one is behind. KEYS stream; ARGV messages to keep
local function before(a, b)
  local a1, a2 = string.match(a, '(%d+)-(%d+)')
  local b1, b2 = string.match(b, '(%d+)-(%d+)')
  if a1 ~= b1 then return tonumber(a1) < tonumber(b1) end
  return tonumber(a2) < tonumber(b2)
end
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local length, behind, safe = redis.call('XLEN', KEYS[1]), 0, nil
for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local group = {}
  for i = 1, #flat, 2 do group[flat[i]] = flat[i + 1] end
  behind = math.max(behind, (group['lag'] or length) + group['pending'])
  local oldest = group['last-delivered-id']
  if group['pending'] > 0 then oldest = redis.call('XPENDING', KEYS[1], group['name'])[2] end
  if safe == nil or before(oldest, safe) then safe = oldest end
end
local surplus = length - tonumber(ARGV[1])
if surplus > 0 then
  if safe then redis.call('XTRIM', KEYS[1], 'MINID', '~', safe, 'LIMIT', surplus)
  else redis.call('XTRIM', KEYS[1], 'MAXLEN', '~', ARGV[1]) end
end
return behind
"""

NEXT_EPOCH: Final = """
-- KEYS the counter; ARGV a number to stay above
local epoch = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(ARGV[1])) + 1
redis.call('SET', KEYS[1], string.format('%d', epoch))
return epoch
"""

LEASE: Final = """
-- Keep the leases that I have, take free ones up to a fair share. KEYS members, leases; ARGV me, ms, partitions
-- Of members whose names differ only in the number behind '#', the highest replaces the others.
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local me, until_ms, partitions = ARGV[1], now + ARGV[2], tonumber(ARGV[3])
local my_name, my_epoch = string.match(me, '^(.*)#(%d+)$')
local function epoch_of(other)
  local name, epoch = string.match(other, '^(.*)#(%d+)$')
  if my_name and name == my_name then return tonumber(epoch) end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local replaced = 0
for _, other in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  local epoch = epoch_of(other)
  if epoch and epoch > tonumber(my_epoch) then return {0, {}, 0} end
  if epoch and epoch < tonumber(my_epoch) then replaced = replaced + redis.call('ZREM', KEYS[1], other) end
end
redis.call('ZADD', KEYS[1], until_ms, me)
local share = math.ceil(partitions / redis.call('ZCARD', KEYS[1]))
local mine, free = {}, {}
for p = 0, partitions - 1 do
  local lease = redis.call('HGET', KEYS[2], p)
  local ends, owner = 0, nil
  if lease then
    local e, o = string.match(lease, '^(%d+) (.*)$')
    ends, owner = tonumber(e), o
    local epoch = epoch_of(o)
    if epoch and epoch < tonumber(my_epoch) then ends = 0 end
  end
  if owner == me then mine[#mine + 1] = p
  elseif ends <= now then free[#free + 1] = p end
end
local surplus = math.max(0, #mine - share)
for _, p in ipairs(free) do
  if #mine < share then mine[#mine + 1] = p end
end
for _, p in ipairs(mine) do redis.call('HSET', KEYS[2], p, string.format('%d', until_ms) .. ' ' .. me) end
return {surplus, mine, replaced}
"""

RELEASE: Final = """
-- Give leases back. KEYS members, leases; ARGV me, whether I go altogether, partitions...
for i = 3, #ARGV do
  local lease = redis.call('HGET', KEYS[2], ARGV[i])
  if lease and string.match(lease, '^%d+ (.*)$') == ARGV[1] then redis.call('HDEL', KEYS[2], ARGV[i]) end
end
if ARGV[2] == '1' then redis.call('ZREM', KEYS[1], ARGV[1]) end
return 0
"""

CLAIM: Final = """
-- What others were given and have not finished is mine, as far as the lease is: who was held up and has been replaced
-- must take nothing from its heir. KEYS stream, leases; ARGV group, me, partition, start, count
local lease = redis.call('HGET', KEYS[2], ARGV[3])
if not lease or string.match(lease, '^%d+ (.*)$') ~= ARGV[2] then return {'0-0', {}} end
return redis.call('XAUTOCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[4], 'COUNT', ARGV[5], 'JUSTID')
"""

_MINE: Final = """
-- KEYS stream; ARGV group, me, position. The server itself lets anybody finish and claim what another one has in hand.
local mine = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], ARGV[3], 1, ARGV[2])[1]
"""

FINISH: Final = f"""{_MINE}
if mine then redis.call('XACK', KEYS[1], ARGV[1], ARGV[3]) end
return 0
"""

AGAIN: Final = f"""{_MINE}
-- One delivery more of a message that I have; how many that makes, 0 where I have it no more
if not mine then return 0 end
redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[3], 'RETRYCOUNT', mine[4] + 1, 'JUSTID')
return mine[4] + 1
"""

GIVE_UP: Final = f"""{_MINE}
-- It goes to the dead letters; 0 where I have it no more. KEYS dead letters besides; ARGV dead letter besides
if mine then
  redis.call('XACK', KEYS[1], ARGV[1], ARGV[3])
  redis.call('XADD', KEYS[2], '*', 'd', ARGV[4])
end
return mine and 1 or 0
"""
