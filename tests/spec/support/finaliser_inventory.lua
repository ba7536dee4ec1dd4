-- Every row of the operation table, and what else takes tensors, is called while a finaliser releases an argument at
-- the k-th collection within the call; others take the memory at once. The result must be the right one, or an error in
-- Perilune's words. Prints a line for each call that went wrong; a process of its own, because a collection walks all
-- that lives, and there are thousands.
package.path = "tests/spec/?.lua;" .. package.path
local peri = require "perilune"
local samples = require "support.samples"
local formats = require "support.formats"

local COLLECTIONS = 8

-- Calls f while the collector runs at each allocation; in its k-th cycle `act` is called.
local function collecting(k, act, f, ...)
  local function arm(n)
    setmetatable({}, { __gc = function() if n > 1 then arm(n - 1) else act() end end })
  end
  arm(k)
  collectgarbage("incremental", 1, 1000, 30)
  collectgarbage "step"
  local result = table.pack(pcall(f, ...))
  collectgarbage("incremental", 400, 200, 13)
  return result
end

local function text_of(result)
  if not result[1] then return nil end
  return samples.all_bits(table.move(result, 2, result.n, 1, { n = result.n - 1 }))
end

-- make() -> f, arguments; the tensors among the arguments are released, one after the other.
local function try(name, make)
  local count, right
  do
    peri.manual_seed(3)
    local f, arguments = make()
    peri.manual_seed(4)
    right = text_of(table.pack(pcall(f, table.unpack(arguments, 1, arguments.n))))
    if right == nil then return print(name, "is refused without a finaliser") end
    count = #samples.tensors(arguments)
  end
  for which = 1, count do
    for k = 1, COLLECTIONS do
      peri.manual_seed(3)
      local f, arguments = make()
      local victim = samples.tensors(arguments)[which]
      local shape, dtype, taken = victim.shape, victim.dtype, {}
      peri.manual_seed(4)
      local result = collecting(k, function()
        pcall(victim.release, victim)
        for i = 1, 3 do taken[i] = peri.full(shape, 1, { dtype = dtype }) end
      end, f, table.unpack(arguments, 1, arguments.n))
      assert(#taken <= 3)
      local got = text_of(result)
      if got ~= nil and got ~= right then print(name, "argument " .. which, "collection " .. k, "wrong result") end
      if got == nil and not tostring(result[2]):find "released" then print(name, "argument " .. which, result[2]) end
    end
  end
end

samples.each_alone(function(op, call)
  local draws = op.random -- a draw depends on nothing but the stream, which the finaliser leaves alone
  for s, first in ipairs(samples.arguments(op)) do
    if #samples.tensors(first) > 0 and not draws then
      try(op.name .. ", sample " .. s, function()
        -- what writes gives its target, which may be released by then
        return op.writes and function(...) return call(...):clone() end or call, (samples.one(op, s))
      end)
      if op.in_place then
        local in_place = samples.find(op.name .. "_")
        if pcall(in_place, table.unpack((samples.one(op, s)))) then
          try(op.name .. "_, sample " .. s, function()
            return function(...) return in_place(...):clone() end, (samples.one(op, s))
          end)
        end
      end
    end
  end
end)

local function x(...) return peri.rand({ ... }, { dtype = "float64" }) end
local function of(f, ...)
  local makers = { ... }
  return function()
    local arguments = { n = #makers }
    for i, maker in ipairs(makers) do arguments[i] = type(maker) == "function" and maker() or maker end
    return f, arguments
  end
end
local function matrix() return x(8, 3) end
local function view() return x(3, 8):t() end
local function labels() return peri.arange(1, 8) % 2 end
local function flat(t, out)
  for _, v in ipairs(t) do if type(v) == "table" then flat(v, out) else out[#out + 1] = v end end
  return out
end

try("tensor", of(peri.tensor, view))
try("x[i]", of(function(t) return t[2] + 0 end, matrix))
try("x[{rows, range}]", of(function(t) return t[{ { 2, 5 }, 1 }] + 0 end, matrix))
try("x[mask]", of(function(t, m) return t[m] end, matrix, function() return x(8, 3):gt(0.5) end))
local function rows() return peri.tensor({ 1, 3 }, { dtype = "int64" }) end
try("x[rows]", of(function(t, index) return t[index] end, matrix, rows))
try("x[{.., rows}]", of(function(t, index) return t[{ {}, index }] end, matrix, rows))
try("x[i] = y", of(function(t, y) t[1] = y return t:clone() end, matrix, function() return x(3) end))
try("x[mask] = y", of(function(t, m, y) t[m] = y return t:clone() end, matrix,
  function() return peri.ones(8, 3):gt(0) end, function() return x(24) end))
try("x[i] = table", of(function(t) t[1] = { 1, 2, 3 } return t:clone() end, matrix))
try("totable", of(function(t) return table.unpack(flat(t:totable(), {})) end, view))
try("bytes", of(function(t) return t:bytes() end, view))
try("tostring", of(function(t)
  local text = tostring(t)
  return text == "released tensor" and error(text) or text
end, matrix))
try("shape", of(function(t) return table.concat(t.shape, "x") end, matrix))
try("size", of(function(t) return table.concat(t:size(), "x") end, matrix))
try("pairs", of(function(t) local s = 0 for _, row in pairs(t) do s = s + row:sum():item() end return s end, matrix))
try("equal", of(function(a, b) return a:equal(b), a:allclose(b) end, matrix, matrix))
try("backward", of(function(a, g)
  local w = peri.ones(8, 3, { dtype = "float64", requires_grad = true })
  local y = w * a
  y:backward(g)
  return w.grad:clone()
end, matrix, matrix))
try("grad", of(function(a, g)
  local w = peri.ones(8, 3, { dtype = "float64", requires_grad = true })
  return peri.grad(w * a, w, { grad_output = g }):clone()
end, matrix, matrix))
local path = os.tmpname()
try("save", of(function(a, b)
  peri.save(path, { a = a, b = b })
  local t = peri.load(path)
  return t.a, t.b
end, matrix, view))
for _, name in ipairs(peri.data.formats()) do
  local write, read = peri.data["write_" .. name], peri.data["read_" .. name]
  try("write_" .. name, function()
    local given, ending = formats[name]()
    local at = path .. (ending or "")
    given.n = #given
    return function(...)
      write(at, ...)
      local found = samples.tensors { read(at) }
      if at ~= path then os.remove(at) end
      return table.unpack(found)
    end, given
  end)
end
try("loader", of(function(a, b)
  local s = 0
  for p, q in peri.data.loader({ a, b }, { batch_size = 3, shuffle = true, seed = 1 }) do
    s = s + p:sum():item() * q:sum():item()
  end
  return s
end, view, labels))
local nn = peri.nn
try("Parameter", of(function(a) return nn.Parameter(a):detach() end, view))
local layer = nn.Linear(3, 2, { dtype = "float64" })
local net = nn.Sequential(layer, nn.Tanh(), nn.Linear(2, 2, { dtype = "float64" }))
try("layer(x)", of(function(a) return layer(a):detach() end, matrix))
try("net(x)", of(function(a) return net(a):detach() end, view))
try("loss(x, y)", of(nn.CrossEntropyLoss(), matrix, function() return labels() + 1 end))
local function state() return net:state_dict()["1.weight"] end
try("load_state_dict", of(function(w)
  local s = net:state_dict()
  s["1.weight"] = w
  return net:load_state_dict(s):state_dict()["1.weight"]
end, state))
try("layer.weight = x", of(function(w)
  local l = nn.Linear(3, 2, { dtype = "float64" })
  l.weight = nn.Parameter(w)
  return l.weight:detach():clone()
end, state))
local svm = peri.svm
local machine = svm.SVC {}:fit(peri.data.circles(40, { dtype = "float64" }))
local function plane() return x(8, 2) end
local function plane_view() return x(2, 8):t() end
try("kernel_matrix", of(svm.kernel_matrix, plane_view, plane))
for _, method in ipairs { "predict", "decision_function" } do
  try(method, of(function(a) return machine[method](machine, a) end, plane_view))
end
try("score", of(function(a, b) return machine:score(a, b) end, plane_view, labels))
for _, name in ipairs { "SVC", "LinearSVC" } do
  try(name .. ":fit", of(function(a, b, w)
    return svm[name]():fit(a, b, { sample_weight = w }):decision_function(a:clone())
  end, plane_view, labels, function() return x(8) + 1 end))
end
try("SVC with a kernel function", of(function(a, b)
  local m = svm.SVC { kernel = function(p, q) return p:matmul(q:t()) end }
  return m:fit(a, b):decision_function(a)
end, plane_view, labels))
os.remove(path)
print "done"
