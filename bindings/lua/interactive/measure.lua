-- How long calls take, and what they allocate.
local peri, internal, interactive, callable = ...
local check = internal.check
local document, now = internal.document, peri.now

-- Three digits. What is rounded to 1,000 has the next unit.
local function seconds_text(seconds)
  for _, unit in ipairs { { 1, "s" }, { 1e-3, "ms" }, { 1e-6, "us" } } do
    if seconds >= 0.9995 * unit[1] then return ("%.3g %s"):format(seconds / unit[1], unit[2]) end
  end
  return ("%.3g ns"):format(seconds * 1e9)
end

local function bytes_text(bytes)
  local units, n = { "B", "KB", "MB", "GB", "TB" }, 1
  while bytes >= 999.5 and n < #units do bytes, n = bytes / 1000, n + 1 end
  return (n == 1 and "%.0f %s" or "%.3g %s"):format(bytes, units[n])
end
internal.bytes_text = bytes_text

document("time", [[
interactive.time(f, ...) -> seconds, what f(...) gives
Calls f once.]], function(f, ...)
  callable("interactive.time", f)
  local began = now()
  local values = table.pack(f(...))
  return now() - began, table.unpack(values, 1, values.n)
end, interactive)

document("seconds", [[
interactive.seconds(seconds) -> string
A time with its unit and three digits: '12.3 ms'.]], function(seconds)
  return seconds_text(check.read("interactive.seconds", "seconds", seconds, check.kinds.finite))
end, interactive)

local Bench = { __name = "bench" }
Bench.__index = Bench

function Bench:__tostring()
  return ("%s per call (half of the samples from %s to %s; %d of %d calls), %s allocated"):format(
    seconds_text(self.median), seconds_text(self.low), seconds_text(self.high), self.samples, self.calls,
    bytes_text(self.bytes))
end

-- Of a sorted list, where a share of it lies.
local function quantile(values, share)
  local at = 1 + share * (#values - 1)
  local below = math.floor(at)
  local above = math.min(below + 1, #values)
  return values[below] + (at - below) * (values[above] - values[below])
end

local function sample(f, calls)
  local began = now()
  for _ = 1, calls do f() end
  return now() - began
end

-- Bytes of Lua and of tensors that a call leaves: the collector rests meanwhile.
local function allocated(f)
  local ran = collectgarbage "isrunning"
  collectgarbage()
  collectgarbage "stop"
  local tensors, lua = peri.memory().in_use, collectgarbage "count"
  local ok, message = pcall(f)
  local bytes = (collectgarbage "count" - lua) * 1024 + (peri.memory().in_use - tensors)
  if ran then collectgarbage "restart" end
  if not ok then error(message, 0) end
  return math.max(0, math.floor(bytes))
end

local SAMPLE = 0.002 -- seconds at least of a sample, so that the clock and the loop do not count

document("bench", [[
interactive.bench(f, {seconds = 0.5}) -> {median =, low =, high =, samples =, calls =, bytes =}
Calls f() again and again for about so long. A sample is as many calls as take 2 ms; median is that of the samples'
seconds per call, and half of the samples lie from low to high. bytes: what a call allocates and does not release
itself, of Lua and of tensors. The table has a text, which the prompt shows.
Errors: those of f.]], function(f, options)
  callable("interactive.bench", f)
  local given = check.options("interactive.bench", options, { seconds = check.kinds.positive })
  local most, calls = given.seconds or 0.5, 1
  local began, bytes = now(), allocated(f)
  local took = sample(f, 1)
  while took < SAMPLE and now() - began < most do
    calls = math.max(calls * 2, math.ceil(calls * math.min(100, SAMPLE / math.max(took, 1e-9))))
    took = sample(f, calls)
  end
  local values = { took / calls }
  while now() - began < most and #values < 1000 do values[#values + 1] = sample(f, calls) / calls end
  table.sort(values)
  return setmetatable({
    median = quantile(values, 0.5), low = quantile(values, 0.25), high = quantile(values, 0.75), samples = #values,
    calls = calls, bytes = bytes,
  }, Bench)
end, interactive)
