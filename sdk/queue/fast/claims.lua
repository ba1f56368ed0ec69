#!lua name=tenantry_queue_1
-- Hints to what is ready in Postgres: ids only. Everything but the two generation keys lives below the generation's name, so that
-- a new generation begins empty. Three levels (class, queue, tenant) are each served by start-time fair queueing.

local SEP = '\0'
local CLASS_WEIGHT = { ['0'] = 16, ['1'] = 4, ['2'] = 1 }
local HELD_MS = 1000
local FOREVER = 4102444800000

local function now_ms()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
end

local function flow_key(class, queue, tenant)
  return class .. SEP .. queue .. SEP .. tenant
end

local function split(flow)
  local a = string.find(flow, SEP, 1, true)
  local b = string.find(flow, SEP, a + 1, true)
  return string.sub(flow, 1, a - 1), string.sub(flow, a + 1, b - 1), string.sub(flow, b + 1)
end

-- A member enters a level with its old tag or the level's time, whichever is later: who was idle has saved up nothing.
local function enter(p, level, member)
  if redis.call('ZSCORE', p .. 'z:' .. level, member) then return end
  local floor = tonumber(redis.call('HGET', p .. 'v', level) or '0')
  local own = tonumber(redis.call('ZSCORE', p .. 'i:' .. level, member) or '0')
  redis.call('ZADD', p .. 'z:' .. level, math.max(floor, own), member)
  redis.call('ZREM', p .. 'i:' .. level, member)
end

local function leave(p, level, member, tag)
  redis.call('ZREM', p .. 'z:' .. level, member)
  redis.call('ZADD', p .. 'i:' .. level, string.format('%.17g', tag), member)
  redis.call('ZREMRANGEBYSCORE', p .. 'i:' .. level, '-inf', redis.call('HGET', p .. 'v', level) or '0')
end

-- The level's time is the tag at which the last job began to be served, not that of a whole turn.
local function advance(p, level, member, new, weight)
  local v, began = tonumber(redis.call('HGET', p .. 'v', level) or '0'), new - 1 / weight
  if began > v then redis.call('HSET', p .. 'v', level, string.format('%.17g', began)) end
  redis.call('ZADD', p .. 'z:' .. level, string.format('%.17g', new), member)
end

local function activate(p, class, queue, tenant)
  enter(p, class .. SEP .. queue, tenant)
  enter(p, class, queue)
  enter(p, '', class)
end

local function park(p, class, queue, tenant, tag, till)
  leave(p, class .. SEP .. queue, tenant, tag)
  redis.call('ZADD', p .. 'park', till, flow_key(class, queue, tenant))
end

local function unpark(p, flow)
  redis.call('ZREM', p .. 'park', flow)
  local class, queue, tenant = split(flow)
  if redis.call('EXISTS', p .. 'r:' .. flow) == 1 then activate(p, class, queue, tenant) end
end

local function fields(text)
  local all = {}
  for part in string.gmatch((text or '') .. '|', '([^|]*)|') do all[#all + 1] = part end
  return all
end

-- weight, cap, rate, burst, paused of a flow; the queue's own entry before that for all queues.
local function allowance(p, queue, tenant)
  local got = redis.call('HMGET', p .. 'cfg', 'w' .. SEP .. queue .. SEP .. tenant, 'w' .. SEP .. SEP .. tenant, 'q' .. SEP .. queue)
  if not got[1] and not got[2] and not got[3] then return { weight = 1 } end
  local own, every, q = fields(got[1]), fields(got[2]), fields(got[3])
  local function first(i) return tonumber(own[i] or '') or tonumber(every[i] or '') end
  local rate = first(3)
  return {
    weight = first(1) or 1, cap = first(2) or tonumber(q[2] or ''), rate = rate, burst = first(4) or rate,
    paused = own[5] == '1' or every[5] == '1',
  }
end

local function tokens_of(p, field, a, now)
  local t = fields(redis.call('HGET', p .. 'tb', field))
  local level, at = tonumber(t[1] or ''), tonumber(t[2] or '')
  if not level or not at then return a.burst end
  return math.min(a.burst, level + (now - at) / 1000 * a.rate)
end

-- How many a flow may take now; where none, until when it waits.
local function room_of(p, queue, tenant, a, now)
  if a.paused then return 0, FOREVER end
  local field, room = queue .. SEP .. tenant, math.huge
  if a.cap then
    room = a.cap - tonumber(redis.call('HGET', p .. 'run', field) or '0')
    if room < 1 then return 0, now + HELD_MS end
  end
  if a.rate then
    local level = tokens_of(p, field, a, now)
    if level < 1 then return 0, now + math.ceil((1 - level) / a.rate * 1000) end
    room = math.min(room, math.floor(level))
  end
  return room, 0
end

local function spend(p, queue, tenant, a, n, c)
  local field = queue .. SEP .. tenant
  if a.cap then redis.call('HINCRBY', p .. 'run', field, n) end
  if a.rate then
    local level = tokens_of(p, field, a, c.now)
    redis.call('HSET', p .. 'tb', field, string.format('%.17g', level - n) .. '|' .. c.now)
  end
end

-- Takes up to budget from the tenants of a queue.
local function serve_queue(c, class, queue, budget)
  local p, level, got = c.p, class .. SEP .. queue, 0
  local q = fields(c.plain and '' or redis.call('HGET', p .. 'cfg', 'q' .. SEP .. queue))
  if q[3] == '1' then return 0 end
  local cap = tonumber(q[1] or '')
  if cap then budget = math.min(budget, cap - tonumber(redis.call('HGET', p .. 'run', queue .. SEP) or '0')) end
  while got < budget and c.probes > 0 do
    c.probes = c.probes - 1
    local top = redis.call('ZRANGE', p .. 'z:' .. level, 0, 1, 'WITHSCORES')
    if #top == 0 then break end
    local tenant, tag = top[1], tonumber(top[2])
    local a = c.plain and { weight = 1 } or allowance(p, queue, tenant)
    local room, till = math.huge, 0
    if not c.plain then room, till = room_of(p, queue, tenant, a, c.now) end
    if room < 1 then
      park(p, class, queue, tenant, tag, till)
    else
      local turn = budget - got
      if top[4] then turn = math.min(turn, math.floor((tonumber(top[4]) - tag) * a.weight) + 1) end
      turn = math.min(turn, room)
      local popped = redis.call('ZPOPMIN', p .. 'r:' .. flow_key(class, queue, tenant), turn)
      local n = #popped / 2
      for i = 1, #popped, 2 do c.out[#c.out + 1] = popped[i] end
      got = got + n
      if n > 0 then
        advance(p, level, tenant, tag + n / a.weight, a.weight)
        spend(p, queue, tenant, a, n, c)
      end
      if n < turn or redis.call('EXISTS', p .. 'r:' .. flow_key(class, queue, tenant)) == 0 then
        leave(p, level, tenant, tag + n / a.weight)
      end
    end
  end
  if cap and got > 0 then redis.call('HINCRBY', p .. 'run', queue .. SEP, got) end
  return got
end

-- Serves the members of a level in the order of their tags: each as far as its neighbour's tag, so that many go in one step.
local function serve(c, level, budget, weight_of, child)
  local p, got = c.p, 0
  local list = redis.call('ZRANGE', p .. 'z:' .. level, 0, -1, 'WITHSCORES')
  local members = {}
  for i = 1, #list, 2 do members[#members + 1] = { name = list[i], tag = tonumber(list[i + 1]) } end
  while got < budget and #members > 0 and c.probes > 0 do
    c.probes = c.probes - 1
    local best, second = 1, math.huge
    for i = 2, #members do
      if members[i].tag < members[best].tag then best = i end
    end
    for i = 1, #members do
      if i ~= best and members[i].tag < second then second = members[i].tag end
    end
    local m = members[best]
    local weight, turn = weight_of(m.name), budget - got
    if second < math.huge then turn = math.min(turn, math.floor((second - m.tag) * weight) + 1) end
    local n = child(m.name, turn)
    got = got + n
    if n > 0 then
      advance(p, level, m.name, m.tag + n / weight, weight)
      m.tag = m.tag + n / weight
    end
    if n < turn then
      table.remove(members, best)
      local below = level == '' and m.name or (level .. SEP .. m.name)
      if redis.call('EXISTS', p .. 'z:' .. below) == 0 then leave(p, level, m.name, m.tag) end
    end
  end
  return got
end

local function wake(base, n)
  local more = math.min(n, 8) - redis.call('LLEN', base .. ':wake')
  for _ = 1, more do redis.call('RPUSH', base .. ':wake', '1') end
end

local function unpark_due(p, now)
  for _, flow in ipairs(redis.call('ZRANGEBYSCORE', p .. 'park', '-inf', now, 'LIMIT', 0, 1000)) do unpark(p, flow) end
end

-- generation, how many, milliseconds to confirm, queues (separated by NUL, '' for all), ids that Postgres decided on
local function claim(keys, args)
  local base, generation, most = keys[1], args[1], tonumber(args[2])
  if generation == '' or redis.call('GET', base .. ':gen') ~= generation then return redis.error_reply('GENERATION is another') end
  local p = base .. ':' .. generation .. ':'
  if #args > 4 then redis.call('ZREM', p .. 'pend', unpack(args, 5)) end
  local c = { p = p, now = now_ms(), out = {}, probes = 3 * most + 20, plain = redis.call('EXISTS', p .. 'cfg') == 0 }
  unpark_due(p, c.now)
  local allowed
  if args[4] ~= '' then
    allowed = {}
    for name in string.gmatch(args[4] .. SEP, '([^%z]*)%z') do allowed[name] = true end
  end
  serve(c, '', most, function(class) return CLASS_WEIGHT[class] end, function(class, budget)
    return serve(c, class, budget, function() return 1 end, function(queue, turn)
      if allowed and not allowed[queue] then return 0 end
      return serve_queue(c, class, queue, turn)
    end)
  end)
  local pend = {}
  for i, id in ipairs(c.out) do
    pend[2 * i - 1] = c.now + tonumber(args[3])
    pend[2 * i] = id
  end
  if #pend > 0 then redis.call('ZADD', p .. 'pend', unpack(pend)) end
  return c.out
end
