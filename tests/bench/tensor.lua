-- Operations of tensors beside PyTorch and NumPy in one run, at 10 to 10 million elements of float32.
--
--   ./dev bench tensor [row...]      all of them when none is named; "sum" is also "sum 1", along a dimension
--
-- The peers' side is tests/peers/bench_tensor.py. Everybody has the better of one thread and all; the peers run with
-- the kernels that their libraries choose by themselves: OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE are unset for them.
-- `ratio`: the better peer's time by ours. Marked with ! is what is below 0.9, and at 10 elements what is below 5 times
-- PyTorch. Of rows that only move memory the last column is what they reach, at 10 million elements, of the bandwidth
-- of copies (tests/bench/copy.c, in the same run; bytes read and written). Operations on matrices have as many
-- elements, up to 1,024 x 1,024 where they multiply or decompose. Times are the best of many runs.
local peri = require "perilune"

local BUDGET = tonumber(os.getenv "PERILUNE_BENCH_SECONDS" or "") or 0.1
local SIZES = { 10, 1000, 100000, 10000000 }
local all_threads = peri.get_num_threads()

local function side_of(n) return math.max(1, math.floor(math.sqrt(n))) end
local function matrix(n)
  local side = side_of(n)
  return peri.randn(side, side), side
end
local function square(n)
  local side = math.min(1024, side_of(n))
  return peri.randn(side, side), side
end

local function unary(name, ...)
  local f, more = peri[name], table.pack(...)
  return f and function(n)
    local x = peri.randn(n)
    return function() return f(x, table.unpack(more)) end
  end
end
local function along(name, dim)
  local f = peri[name]
  return f and function(n)
    local x = matrix(n)
    return function() return f(x, dim) end
  end
end
local function binary(name)
  return function(n)
    local a, b = peri.randn(n), peri.randn(n)
    return function() return peri[name](a, b) end
  end
end

local function copied(n)
  local x = peri.randn(n)
  return function() return x:clone() end
end
local function transposed(n)
  local x = matrix(n)
  return function() return x:t():contiguous() end
end
local function index_select(n)
  local x, side = matrix(n)
  local index = peri.randint(1, side, { side })
  return function() return x:index_select(1, index) end
end
local scatter_add = peri.scatter_add and function(n)
  local x, side = matrix(n)
  local index, zeros = peri.randint(1, side, { side, side }), peri.zeros(side, side)
  return function() return peri.scatter_add(zeros, 1, index, x) end
end
local function unique(n)
  local x = peri.randint(1, math.max(1, n // 2), { n }):to "float32"
  return function() return peri.unique(x) end
end
local function topk(n)
  local x, k = peri.randn(n), math.min(10, n)
  return function() return x:topk(k) end
end
local function solve(n)
  local a, side = square(n)
  a = a + peri.eye(side) * side
  local b = peri.randn(side, 1)
  return function() return peri.linalg.solve(a, b) end
end
local svd = peri.linalg.svd and function(n)
  local a = square(n)
  return function() return peri.linalg.svd(a) end
end
local einsum = peri.einsum and function(n)
  local a, side = square(n)
  local b, c = peri.randn(side, side), peri.randn(side, side)
  return function() return peri.einsum("ij,jk,kl->il", a, b, c) end
end

-- Name, and a function that makes the call for so many elements; nil where there is no such operation.
local ROWS = {
  { "add", binary "add" }, { "mul", binary "mul" }, { "copy", copied }, { "exp", unary "exp" },
  { "tanh", unary "tanh" },
  { "sum", unary "sum" }, { "mean", unary "mean" }, { "max", unary "max" }, { "argmax", unary "argmax" },
  { "var", unary "var" }, { "median", unary "median" }, { "quantile", unary("quantile", 0.3) },
  { "sum 1", along("sum", 1) }, { "sum 2", along("sum", 2) }, { "mean 1", along("mean", 1) },
  { "mean 2", along("mean", 2) }, { "max 1", along("max", 1) }, { "max 2", along("max", 2) },
  { "amax 1", along("amax", 1) }, { "cumsum", unary("cumsum", 1) }, { "cumsum 1", along("cumsum", 1) },
  { "logsumexp", unary("logsumexp", 1) }, { "softmax", along("softmax", 2) }, { "transpose", transposed },
  { "index_select", index_select }, { "scatter_add", scatter_add }, { "sort", unary "sort" }, { "topk", topk },
  { "unique", unique }, { "solve", solve }, { "svd", svd }, { "einsum", einsum },
}

-- How often rows whose time is that of memory read or write an element.
local MOVED = { add = 3, mul = 3, copy = 2, transpose = 2 }

-- The seconds of a call, the best of as many as the budget holds; quick ones are timed ten at a time.
local function measure(f)
  local start = peri.now()
  f()
  local calls = peri.now() - start < 1e-3 and 10 or 1
  local best, finish = math.huge, peri.now() + BUDGET
  repeat
    start = peri.now()
    for _ = 1, calls do f() end
    best = math.min(best, (peri.now() - start) / calls)
  until peri.now() > finish
  return best
end

local function output_of(command)
  local pipe <close> = assert(io.popen(command))
  return pipe:read "a"
end

-- Answers of the peers: by job, PyTorch's and NumPy's seconds, each the least so far.
local function ask_peers(jobs, threads, answers)
  local path = os.tmpname()
  local file <close> = assert(io.open(path, "w"))
  file:write(table.concat(jobs, "\n"), "\n")
  file:close()
  local text = output_of(("env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE OPENBLAS_NUM_THREADS=%d /usr/bin/python3 "
    .. "tests/peers/bench_tensor.py %d %g < '%s'"):format(threads, threads, BUDGET, path))
  os.remove(path)
  for line in text:gmatch "[^\n]+" do
    local job, torch, numpy = line:match "^([^\t]+)\t([^\t]+)\t?([^\t]*)$"
    local known = answers[job] or {}
    for i, value in ipairs { tonumber(torch) or math.huge, tonumber(numpy) or math.huge } do
      known[i] = math.min(known[i] or math.huge, value)
    end
    answers[job] = known
  end
end

local function time(t)
  if t == math.huge then return "-" end
  return t >= 1 and ("%.2f s"):format(t) or t >= 1e-3 and ("%.2f ms"):format(t * 1e3) or ("%.2f us"):format(t * 1e6)
end
local FORMAT = "%-14s %10s %12s %12s %12s %8s %1s %s"

-- Bytes a second that copies of so many bytes move, the better of one thread and all.
local function bandwidth(bytes)
  local program = os.tmpname()
  local built = os.execute(("cc -O2 -pthread -o '%s' tests/bench/copy.c"):format(program))
  assert(built, "tests/bench/copy.c: no compiler cc")
  local one, all = output_of(("'%s' %d %d"):format(program, all_threads, bytes)):match "^(%S+) (%S+)"
  os.remove(program)
  return math.max(tonumber(one), tonumber(all)) * 1e9
end

local function chosen_rows(chosen)
  local rows = {}
  for _, row in ipairs(ROWS) do
    local wanted = #chosen == 0
    for _, name in ipairs(chosen) do wanted = wanted or row[1] == name or row[1]:match "^%S+" == name end
    if wanted and not row[2] then print(("%s: no such operation here, left out"):format(row[1])) end
    if wanted and row[2] then rows[#rows + 1] = row end
  end
  if #rows == 0 then
    io.stderr:write(("bench tensor: no row %s\n"):format(table.concat(chosen, " ")))
    os.exit(1)
  end
  return rows
end

return function(chosen)
  local rows, jobs, answers = chosen_rows(chosen), {}, {}
  for _, n in ipairs(SIZES) do
    for _, row in ipairs(rows) do jobs[#jobs + 1] = ("%s %d"):format(row[1], n) end
  end
  ask_peers(jobs, 1, answers)
  if all_threads > 1 then ask_peers(jobs, all_threads, answers) end
  local largest, memory = SIZES[#SIZES], nil
  for _, row in ipairs(rows) do
    if MOVED[row[1]] and not memory then memory = bandwidth(4 * largest) end
  end
  if memory then print(("copies of %d MB: %.1f GB/s"):format(4 * largest // 1000000, memory / 1e9)) end
  print((FORMAT):format("", "elements", "Perilune", "PyTorch", "NumPy", "ratio", "", memory and "of memory" or ""))
  for _, n in ipairs(SIZES) do
    for _, row in ipairs(rows) do
      local call, ours = row[2](n), math.huge
      for _, threads in ipairs(all_threads > 1 and { 1, all_threads } or { 1 }) do
        peri.set_num_threads(threads)
        ours = math.min(ours, measure(call))
      end
      local torch, numpy = table.unpack(answers[("%s %d"):format(row[1], n)])
      local ratio = math.min(torch, numpy) / ours
      local short = ratio < 0.9 or n == 10 and torch / ours < 5
      local mark = short and "!" or ""
      local moved = n == largest and MOVED[row[1]]
      local reached = moved and ("%.0f%%"):format(100 * moved * 4 * n / ours / memory) or ""
      print((FORMAT):format(row[1], n, time(ours), time(torch), time(numpy), ("%.2f"):format(ratio), mark, reached))
    end
  end
  peri.set_num_threads(all_threads)
end
