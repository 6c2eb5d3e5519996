"""What the books of staging and those of the quarantine have in common, in Lua: for each photo a moment and its size,
and the total of all sizes.
"""

# `now` in seconds; `add` to a total, which goes at 0; `strike_out` a photo, which returns the size that it had.
BOOKS_IN_LUA = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) + tonumber(clock[2]) / 1000000
local function add(total, bytes)
  if redis.call('INCRBY', total, bytes) <= 0 then redis.call('DEL', total) end
end
local function strike_out(moments, sizes, total, id)
  local size = tonumber(redis.call('HGET', sizes, id) or 0)
  if size > 0 then add(total, -size) end
  redis.call('HDEL', sizes, id)
  redis.call('ZREM', moments, id)
  return size
end
"""
