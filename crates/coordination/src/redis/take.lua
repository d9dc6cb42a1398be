-- Takes a share. Times are Redis' own. What the rule (`Adaptive`) knows is one text; two of its numbers are read here, and it is never
-- written otherwise than given. Answer: granted or not, milliseconds to wait, the rule's text, the time.
local token, hold, initial = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local floor, ceiling, full_burst, full_refill = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local poll, forget, me = tonumber(ARGV[8]), ARGV[9], ARGV[10]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local kept = redis.call('HMGET', KEYS[2], 'rule', 'tokens', 'at')
local form, rule = '^(%d+) %d+ (%d+) %d+$', kept[1]
if not (rule and string.match(rule, form)) then rule = initial end
local slots, paused = string.match(rule, form)
slots, paused = math.max(floor, math.min(ceiling, tonumber(slots))), tonumber(paused)
if paused > now then return {0, paused - now, rule, now} end

redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
local flying, load = redis.call('ZRANGE', KEYS[1], 0, -1), {}
for _, member in ipairs(flying) do
  local client = string.match(member, '^(.-)/') or ''
  load[client] = (load[client] or 0) + 1
end

-- Whoever is quick gets what is free, unless somebody has waited too long: of those, who has the fewest in flight comes first, then who
-- has waited longest. (A strict order would leave places empty until their turn asks again.) An entry: since when, until when it holds.
local since, others = now, {}
local waiting = redis.call('HGETALL', KEYS[3])
for index = 1, #waiting, 2 do
  local client = waiting[index]
  local first, ends = string.match(waiting[index + 1], '^(%d+) (%d+)$')
  if not ends or tonumber(ends) < now then
    redis.call('HDEL', KEYS[3], client)
  elseif client == me then
    since = tonumber(first)
  elseif tonumber(first) + poll <= now then
    others[client] = tonumber(first)
  end
end
local mine, ahead = load[me] or 0, 0
for client, first in pairs(others) do
  local theirs = load[client] or 0
  if theirs < mine or (theirs == mine and first < since) then ahead = ahead + 1 end
end

local share = slots / ceiling
local burst, refill = math.max(1, full_burst * share), full_refill * share
local at = tonumber(kept[3]) or now
local tokens = math.min(burst, (tonumber(kept[2]) or burst) + math.max(0, now - at) * refill)
local free, wait = math.floor(slots / 1000) - #flying, 0
if free <= ahead then
  wait = math.max(since + poll - now, (1 + ahead) * poll / 10)
elseif tokens < 1 + ahead then
  wait = tokens < 1 and (1 - tokens) / refill or poll / 10
end
wait = math.ceil(wait)

if wait == 0 then
  tokens = tokens - 1
  redis.call('ZADD', KEYS[1], now + hold, token)
  redis.call('PEXPIRE', KEYS[1], hold)
  redis.call('HDEL', KEYS[3], me)
else
  -- It asks again in time, or lets others pass.
  redis.call('HSET', KEYS[3], me, since .. ' ' .. (now + wait + 2 * poll))
  redis.call('PEXPIRE', KEYS[3], forget)
end
redis.call('HSET', KEYS[2], 'rule', rule, 'tokens', tostring(tokens), 'at', now)
redis.call('PEXPIRE', KEYS[2], forget)
return {wait == 0 and 1 or 0, wait, rule, now}
