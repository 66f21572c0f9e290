-- Charges the cells of one call, in their order. The first that refuses stops: it and the later ones stay as they were.
-- The arithmetic is that of gcra.rs, in whole microseconds, which a double holds exactly until the year 2255.
-- KEYS: a cell each, holding its TAT. ARGV: how far the tests' clock is ahead; then of each cell (burst - 1) * interval, interval.
-- Answers now, the wait of the refusing cell or -1, and the TAT of each cell that was looked at.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2] + ARGV[1]
local stored = redis.call('MGET', unpack(KEYS))
local answer = { now, -1 }
for i, key in ipairs(KEYS) do
  local tolerance, interval = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  local tat = tonumber(stored[i] or 0)
  if now < tat - tolerance then
    answer[2] = tat - tolerance - now
    answer[#answer + 1] = tat
    return answer
  end
  tat = math.max(tat, now) + interval
  redis.call('SET', key, string.format('%.0f', tat), 'PX', math.ceil((tat - now) / 1000))
  answer[#answer + 1] = tat
end
return answer
