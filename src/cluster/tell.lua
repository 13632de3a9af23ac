-- Stores what a node says of people at places, and tells whoever listens there.
-- ARGV: the prefix of all names, the command that publishes, incarnation, node, generation, number of this call, seconds
-- to keep, then of each: place, person, word. A word is '+' and an entry, or '-'. Answers 0 when the incarnation has no
-- lease.
local prefix, publish = ARGV[1], ARGV[2]
local incarnation, node, generation, number, keep = ARGV[3], ARGV[4], ARGV[5], ARGV[6], ARGV[7]
-- Whatever is stored belongs to a lease, or nobody would ever take it back.
if not redis.call('ZSCORE', prefix .. 'nodes', incarnation) then
  return 0
end
-- A call that a broken connection delivers late, after the one that repeated it.
local last = prefix .. 'seq:' .. incarnation
if tonumber(redis.call('GET', last) or '0') >= tonumber(number) then
  return 1
end
redis.call('SET', last, number, 'EX', keep)
local index = prefix .. 'of:' .. incarnation
for i = 8, #ARGV, 3 do
  local place, person, word = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local key, field = prefix .. 'at:' .. place, node .. '/' .. person
  local stored = redis.call('HGET', key, field)
  if not stored or tonumber(string.match(stored, '^(%d+)/') or '0') <= tonumber(generation) then
    if word == '-' then
      redis.call('HDEL', key, field)
      redis.call('SREM', index, place .. '/' .. person)
    else
      redis.call('HSET', key, field, generation .. '/' .. number .. '/' .. string.sub(word, 2))
      redis.call('SADD', index, place .. '/' .. person)
      redis.call('EXPIRE', key, keep)
    end
    redis.call(publish, key, field .. '/' .. generation .. '/' .. number .. '/' .. word)
  end
end
redis.call('EXPIRE', index, keep)
return 1
