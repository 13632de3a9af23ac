-- What a node does once a second: it renews its lease, listens for its own voice, and takes back what a dead node said.
-- ARGV: the prefix of all names, the command that publishes, incarnation, node, milliseconds of the lease, whether to
-- begin it, entries to take back at most (0: leave the dead alone), number of this pulse. Answers whether the lease is
-- held, how many entries are stored under it, whether more is to be taken back, and all leases.
local prefix, publish = ARGV[1], ARGV[2]
local incarnation, node, lease, begin, limit, number = ARGV[3], ARGV[4], ARGV[5], ARGV[6], tonumber(ARGV[7]), ARGV[8]
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local held = begin == '1' or redis.call('ZSCORE', prefix .. 'nodes', incarnation)
if held then
  redis.call('ZADD', prefix .. 'nodes', now + tonumber(lease), incarnation)
end
redis.call(publish, prefix .. 'node:' .. node, 'p' .. number)

-- An entry leaves the index in the same call that tells its end, so each end is told once, whichever nodes help.
local function take_back(dead)
  local index = prefix .. 'of:' .. dead
  local owner, generation = string.match(dead, '^(%x+)%.(%d+)$')
  local entries = redis.call('SPOP', index, limit)
  for _, entry in ipairs(entries) do
    local place, person = string.match(entry, '^(.+)/(%x+)$')
    if owner and place then
      local key, field = prefix .. 'at:' .. place, owner .. '/' .. person
      local stored = redis.call('HGET', key, field)
      -- The node may have come back since, and said it anew.
      if stored and string.match(stored, '^(%d+)/') == generation then
        redis.call('HDEL', key, field)
        redis.call(publish, key, field .. '/' .. generation .. '/9007199254740991/-')
      end
    end
  end
  if #entries < limit then
    redis.call('ZREM', prefix .. 'ended', dead)
    redis.call('DEL', index, prefix .. 'seq:' .. dead)
  end
end

local more = 0
if limit > 0 then
  for _, expired in ipairs(redis.call('ZRANGEBYSCORE', prefix .. 'nodes', '-inf', now, 'LIMIT', 0, 16)) do
    redis.call('ZREM', prefix .. 'nodes', expired)
    redis.call('ZADD', prefix .. 'ended', now, expired)
  end
  local dead = redis.call('ZRANGE', prefix .. 'ended', 0, 0)[1]
  if dead then
    take_back(dead)
    more = redis.call('ZCARD', prefix .. 'ended') > 0 and 1 or 0
  end
end
return {
  held and 1 or 0, redis.call('SCARD', prefix .. 'of:' .. incarnation), more, redis.call('ZRANGE', prefix .. 'nodes', 0, -1)
}
