-- The second part of the library, behind claims.lua.

local function add(p, class, queue, tenant, ids)
  local key, pairs_, n = p .. 'r:' .. flow_key(class, queue, tenant), {}, 0
  for id in string.gmatch(ids, '%d+') do
    pairs_[#pairs_ + 1] = id
    pairs_[#pairs_ + 1] = id
    n = n + 1
    if #pairs_ >= 4000 then
      redis.call('ZADD', key, 'NX', unpack(pairs_))
      pairs_ = {}
    end
  end
  if #pairs_ > 0 then redis.call('ZADD', key, 'NX', unpack(pairs_)) end
  if n > 0 and not redis.call('ZSCORE', p .. 'park', flow_key(class, queue, tenant)) then activate(p, class, queue, tenant) end
  return n
end

-- The generation that is filled or, where none is, the valid one.
local function current(base)
  return redis.call('GET', base .. ':next') or redis.call('GET', base .. ':gen')
end

-- transaction or '', then class, queue, tenant, ids of each group
local function push(keys, args)
  local base = keys[1]
  local generation = current(base)
  if not generation then return 0 end
  local p, n = base .. ':' .. generation .. ':', 0
  for i = 2, #args, 4 do n = n + add(p, args[i + 1], args[i], args[i + 2], args[i + 3]) end
  if args[1] ~= '' then redis.call('ZADD', p .. 'heard', now_ms(), args[1]) end
  if n > 0 then wake(base, n) end
  return n
end

-- Those of the named transactions that were never pushed; all others are forgotten.
local function unheard(keys, args)
  local generation = current(keys[1])
  if not generation or #args == 0 then return {} end
  local key, missing = keys[1] .. ':' .. generation .. ':heard', {}
  for i, score in ipairs(redis.call('ZMSCORE', key, unpack(args))) do
    if not score then missing[#missing + 1] = args[i] end
  end
  redis.call('ZREM', key, unpack(args))
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now_ms() - 600000)
  return missing
end

-- Postgres held these back though they were claimed here: they return and wait a little. Milliseconds, then groups as in push.
local function hold(keys, args)
  local base = keys[1]
  local generation = current(base)
  if not generation then return 0 end
  local p, till, n = base .. ':' .. generation .. ':', now_ms() + tonumber(args[1]), 0
  for i = 2, #args, 4 do
    local queue, class, tenant = args[i], args[i + 1], args[i + 2]
    local more = add(p, class, queue, tenant, args[i + 3])
    n = n + more
    for _, field in ipairs({ queue .. SEP .. tenant, queue .. SEP }) do
      local running = tonumber(redis.call('HGET', p .. 'run', field) or '0')
      if running > 0 then redis.call('HSET', p .. 'run', field, math.max(0, running - more)) end
    end
    local level = class .. SEP .. queue
    local tag = tonumber(redis.call('ZSCORE', p .. 'z:' .. level, tenant) or '')
    if tag then park(p, class, queue, tenant, tag, till) end
  end
  return n
end

-- queue, tenant, how many of each flow that has free places again
local function free(keys, args)
  local base = keys[1]
  local generation = current(base)
  if not generation then return 0 end
  local p, woken = base .. ':' .. generation .. ':', 0
  for i = 1, #args, 3 do
    local queue, tenant, field = args[i], args[i + 1], args[i] .. SEP .. args[i + 1]
    local running = tonumber(redis.call('HGET', p .. 'run', field) or '0') - tonumber(args[i + 2])
    redis.call('HSET', p .. 'run', field, math.max(0, running))
    if tenant == '' then woken = woken + 1 end
    for class = 0, 2 do
      local flow = flow_key(tostring(class), queue, tenant)
      local till = redis.call('ZSCORE', p .. 'park', flow)
      if till and tonumber(till) < FOREVER then
        unpark(p, flow)
        woken = woken + 1
      end
    end
  end
  if woken > 0 then wake(base, woken) end
  return woken
end

-- What Postgres counts as running: queue, tenant, how many
local function running(keys, args)
  local generation = current(keys[1])
  if not generation then return 0 end
  local key = keys[1] .. ':' .. generation .. ':run'
  redis.call('DEL', key)
  for i = 1, #args, 3 do redis.call('HSET', key, args[i] .. SEP .. args[i + 1], args[i + 2]) end
  return #args / 3
end

-- All limits anew, as fields and values
local function configure(keys, args)
  local generation = current(keys[1])
  if not generation then return 0 end
  local p = keys[1] .. ':' .. generation .. ':'
  redis.call('DEL', p .. 'cfg')
  for i = 1, #args, 2 do redis.call('HSET', p .. 'cfg', args[i], args[i + 1]) end
  for _, flow in ipairs(redis.call('ZRANGE', p .. 'park', 0, -1)) do unpark(p, flow) end
  wake(keys[1], 8)
  return 1
end

-- Ids that were claimed here and that nobody told the outcome of in time; they count as told now.
local function overdue(keys, args)
  local generation = current(keys[1])
  if not generation then return {} end
  local key = keys[1] .. ':' .. generation .. ':pend'
  local ids = redis.call('ZRANGEBYSCORE', key, '-inf', now_ms(), 'LIMIT', 0, args[1])
  if #ids > 0 then redis.call('ZREM', key, unpack(ids)) end
  return ids
end

-- A new generation: claims are refused from here on, and pushes go to the new one.
local function begin(keys, args)
  redis.call('DEL', keys[1] .. ':gen')
  redis.call('SET', keys[1] .. ':next', args[1])
  return 1
end

-- A page of what is ready; 0 where another filling began or everything was flushed: then it is to begin again.
local function fill(keys, args)
  local base, generation = keys[1], args[1]
  if redis.call('GET', base .. ':next') ~= generation then return 0 end
  local p = base .. ':' .. generation .. ':'
  for i = 2, #args, 4 do add(p, args[i + 1], args[i], args[i + 2], args[i + 3]) end
  return 1
end

-- Last of all: claims are answered again.
local function finish(keys, args)
  local base = keys[1]
  if redis.call('GET', base .. ':next') ~= args[1] then return 0 end
  redis.call('SET', base .. ':gen', args[1])
  redis.call('DEL', base .. ':next')
  wake(base, 8)
  return 1
end

redis.register_function('tenantry_queue_1_claim', claim)
redis.register_function('tenantry_queue_1_push', push)
redis.register_function('tenantry_queue_1_unheard', unheard)
redis.register_function('tenantry_queue_1_hold', hold)
redis.register_function('tenantry_queue_1_free', free)
redis.register_function('tenantry_queue_1_running', running)
redis.register_function('tenantry_queue_1_configure', configure)
redis.register_function('tenantry_queue_1_overdue', overdue)
redis.register_function('tenantry_queue_1_begin', begin)
redis.register_function('tenantry_queue_1_fill', fill)
redis.register_function('tenantry_queue_1_finish', finish)
