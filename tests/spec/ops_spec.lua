-- Walks the operation table: a new row is tested here without new test code.
local peri = require "perilune"
local samples = require "support.samples"
local walk = require "support.walk"
local weighing = require "support.weighing"

local weigh, evaluate, each_weighing = weighing.weigh, weighing.evaluate, weighing.each

local sanitized = os.getenv "PERILUNE_SANITIZED"

local function spread(arguments) return table.unpack(arguments, 1, #arguments) end

-- ---- gradients ----

local function close(a, b, scale) return math.abs(a - b) <= 2e-5 * math.max(1, scale, math.abs(b)) end

-- df/dleaf by central differences against `gradients`: for every element of every leaf, or under sanitizers, which are
-- there for the memory and take twenty times as long, along two directions in each leaf.
local function compare_with_differences(name, f, leaves, gradients, h)
  local values = {}
  for k, leaf in ipairs(leaves) do values[k] = leaf:detach():clone() end
  local function slope(k, direction)
    local at = values[k]
    values[k] = at + direction * h
    local up = f(values)
    values[k] = at - direction * h
    local down = f(values)
    values[k] = at
    return (up - down) / (2 * h), up
  end
  for k, leaf in ipairs(leaves) do
    local n = leaf:numel()
    for i = 1, sanitized and math.min(n, 2) or n do
      local direction = peri.zeros(n, { dtype = "float64" })
      if sanitized then
        for j = 1, n do direction[j] = math.sin(3 * i + j * j) end
      else
        direction[i] = 1
      end
      local expected, up = slope(k, direction:reshape(leaf.shape))
      local got = gradients[k] and (gradients[k]:detach():reshape(-1) * direction):sum():item() or 0
      if not close(got, expected, math.abs(up)) then
        local text = "%s: gradient of tensor %d, %s %d: %.10g, by differences %.10g"
        error(text:format(name, k, sanitized and "direction" or "element", i, got, expected), 0)
      end
    end
  end
end

describe("gradients #table of", function()
  samples.each(function(op, call)
    if not op.gradient then
      it(op.name .. " are refused, or 0 by design, or those of no floats", function()
        for s = 1, #samples.arguments(op) do
          local list, made = samples.one(op, s, {
            dtype = "float64", make = function(t) return t:requires_grad_() end })
          local ok, outputs = pcall(function() return table.pack(call(spread(list))) end)
          if not ok then assert.matches("gradients are recorded", outputs) end
          for k = 1, ok and outputs.n or 0 do
            local y = outputs[k]
            if peri.is_tensor(y) then
              assert.is_false(y.requires_grad, op.name)
              local silent = #made > 0 and y.dtype:find "float" and not op.no_gradient
              assert.is_falsy(silent, op.name .. " gives floats without a gradient and does not say so")
            end
          end
        end
      end)
      return
    end
    it(op.name .. " agree with finite differences", function()
      assert(op.sample, op.name .. " has no sample")
      each_weighing(op, call, function(s, alone, text)
        local loss, leaves = evaluate(op, call, s, nil, alone)
        if loss and loss.requires_grad then
          loss:backward()
          local gradients = {}
          for k, leaf in ipairs(leaves) do gradients[k] = leaf.grad end
          compare_with_differences(text, function(values)
            return (evaluate(op, call, s, values, alone)):item()
          end, leaves, gradients, 1e-6)
        end
      end)
    end)
    it(op.name .. " can be differentiated again", function()
      local function slope(s, alone, values)
        local loss, leaves = evaluate(op, call, s, values, alone)
        if not (loss and loss.requires_grad) then return end
        local first = peri.grad(loss, leaves, { create_graph = true })
        local total
        for k, g in ipairs(first) do
          if g then
            local term = weigh({ n = 1, g }, 3 * k)
            total = total and total + term or term
          end
        end
        return total, leaves
      end
      each_weighing(op, call, function(s, alone, text)
        local total, leaves = slope(s, alone)
        if total then
          local gradients = {}
          if total.requires_grad then
            for k, g in ipairs(peri.grad(total, leaves)) do gradients[k] = g end
          end
          compare_with_differences(text .. ", second order", function(values)
            return (slope(s, alone, values)):item()
          end, leaves, gradients, 1e-5)
        end
      end)
    end)
  end)
end)

-- ---- bad arguments ----

describe("bad arguments of", function()
  local released = peri.zeros(2)
  released:release()

  local function refuse(op, call, arguments, n, pattern)
    local tensors = samples.tensors(arguments)
    local before = samples.all_bits(tensors)
    local ok, message = pcall(call, table.unpack(arguments, 1, n))
    assert.is_false(ok, op.name .. " accepted " .. (pattern or "a bad argument"))
    assert.is_string(message)
    assert.truthy(message:find(op.name, 1, true), message)
    if pattern then assert.matches(pattern, message) end
    assert.equal(before, samples.all_bits(tensors), op.name .. " changed its input")
  end

  local wrong_values = {
    tensor = { "text", true, function() end }, operand = { "text", { 7 }, function() end },
    indices = { "text", 1, { 1.5 }, { true }, { "x" } }, tensors = { "text", 1, {} }, number = { "text", { 7 } },
    integer = { "text", 1.5, { 7 } }, index = { "text", 1.5, 0 },
    bool = { "text", 1 }, dim = { "text", 1.5, 0, 9, -9 }, dims = { "text", 0, 9, -9 },
    shape = { "text", { 1.5 }, { -7 }, { "x" } }, integers = { "text", 1.5, { 1.5 }, { "x" } },
    numbers = { "text", 1, { 1, "x" }, { 1, 2, 3, 4, 5 } },
    dtype = { "text", 1, "float16" }, choice = { "nonsense", 1 }, text = { 1, true, { 7 }, "a\0b" },
    axes = { "text", 1.5, { 1 }, { { 1 }, { 1, 2 } }, { { 1 }, 1 }, { { 9 }, { 1 } } },
  }

  local function is_options(argument) return type(argument) == "table" and #argument == 0 end

  samples.each(function(op, call)
    it(op.name .. " are refused", function()
      local lists = samples.arguments(op)
      assert.is_true(#lists > 0, op.name .. " has no sample")
      local positional = {}
      for _, param in ipairs(op.params) do
        if not param.named then positional[#positional + 1] = param end
      end
      for _, arguments in ipairs(lists) do
        local first = arguments[1]
        local last_kind = #positional > 0 and positional[#positional].kind
        local variadic = last_kind == "shape" or last_kind == "dims"
        -- each argument in turn replaced by what it cannot be
        for i, param in ipairs(positional) do
          local options = i > 1 and is_options(arguments[i])
          if i <= #arguments and not options and not (i > 1 and variadic and type(arguments[i]) == "number") then
            for _, value in ipairs(wrong_values[param.kind]) do
              local changed = { spread(arguments) }
              changed[i] = value
              refuse(op, call, changed, #arguments)
            end
            if peri.is_tensor(arguments[i]) then
              local changed = { spread(arguments) }
              changed[i] = released
              refuse(op, call, changed, #arguments, "released")
            end
          end
        end
        -- too few, too many, misspelt
        local required = 0
        for i, param in ipairs(positional) do
          if not param.optional then required = i end
        end
        if required > 0 and required <= #arguments and not (variadic and required == #positional) then
          refuse(op, call, arguments, required - 1, "missing")
        end
        refuse(op, call, { spread(arguments) }, #arguments + 12)
        local misspelt = { spread(arguments) }
        if is_options(misspelt[#misspelt]) then misspelt[#misspelt] = nil end
        misspelt[#misspelt + 1] = { no_such_option = 1 }
        refuse(op, call, misspelt, #misspelt, "no_such_option")
        if first == nil then break end
      end
    end)

    for i, param in ipairs(op.params) do
      if param.kind == "shape" and op.name ~= "expand" then
        it(op.name .. " of shapes of 2^62 are refused", function()
          local arguments = (samples.arguments(op))[1]
          local shape = { 2 ^ 20, 2 ^ 20, 2 ^ 22 }
          if param.named then
            if is_options(arguments[#arguments]) then arguments[#arguments] = nil end
            arguments[#arguments + 1] = { [param.name] = shape }
            refuse(op, call, arguments, #arguments)
            return
          end
          for k = #arguments, i, -1 do arguments[k] = nil end
          arguments[i] = shape
          local n = i
          for k = i + 1, #op.params do
            if not op.params[k].optional then arguments[k], n = 1, k end
          end
          refuse(op, call, arguments, n)
        end)
      end
    end
  end)

  it("operations between shapes that do not fit name both", function()
    local ok, message = pcall(peri.add, peri.zeros(2, 3), peri.zeros(4))
    assert.is_false(ok)
    assert.matches("add: shapes 2x3 and 4 cannot be broadcast together", message)
  end)

  it("a vector that matmul is to transpose is refused: its result has no dimension for it", function()
    for name, arguments in pairs { transpose_a = { peri.ones(5), peri.ones(1, 3) },
                                   transpose_b = { peri.ones(5, 1), peri.ones(3) } } do
      local ok, message = pcall(peri.matmul, arguments[1], arguments[2], { [name] = true })
      assert.is_false(ok)
      assert.matches("matmul: . is . and " .. name .. " is true", message)
    end
  end)
end)

-- ---- the same bits ----

describe("with 1, 2, 3 and 7 threads #table #program", function()
  walk.each("threads", "%s gives the same bits", it)

  it("most rows were compared at sizes that are cut into pieces", function() walk.all "threads" end)
end)

-- ---- views ----

describe("operands that are not contiguous", function()
  local function within(a, b, eps, name)
    assert.equal(a.dtype, b.dtype)
    assert.same(a.shape, b.shape)
    if a.dtype:find "float" then
      assert.is_true(a:allclose(b, { rtol = eps, atol = eps, equal_nan = true }), name)
    else
      assert.is_true(a:equal(b), name)
    end
  end

  samples.each(function(op, call)
    if op.view or op.creates or op.random then return end
    it("give " .. op.name .. " what contiguous ones give", function()
      local plain_lists = samples.arguments(op)
      local view_lists = samples.arguments(op, { make = samples.scatter })
      for s = 1, #plain_lists do
        local plain, view = table.pack(call(spread(plain_lists[s]))), table.pack(call(spread(view_lists[s])))
        for k = 1, plain.n do
          local name = ("%s sample %d"):format(op.name, s)
          if op.elementwise or not peri.is_tensor(plain[k]) then
            assert.equal(samples.bits(plain[k]), samples.bits(view[k]), name)
          else
            within(plain[k], view[k], 4 * 64 * 2 ^ -23, name)
          end
        end
      end
    end)
  end)
end)

-- ---- in place ----

describe("in-place forms", function()
  samples.each(function(op, call)
    if not op.in_place then return end
    it(op.name .. "_ writes what " .. op.name .. " gives", function()
      local in_place, matched = samples.find(op.name .. "_"), 0
      for s, arguments in ipairs(samples.arguments(op)) do
        local target = arguments[1]
        if peri.is_tensor(target) then
          local expected = call(spread(arguments))
          local ok, result = pcall(in_place, spread(arguments))
          if ok then
            matched = matched + 1
            assert.equal(target, result)
            assert.equal(samples.bits(expected), samples.bits(target), ("sample %d"):format(s))
          else
            assert.matches("the result is", result)
          end
        end
      end
      assert.is_true(matched > 0)
    end)
  end)

  it("refuse to write while gradients are recorded", function()
    local w = peri.ones(3, { requires_grad = true })
    local message = select(2, pcall(function() w:add_(1) end))
    assert.matches("add_: cannot write in place while gradients are recorded", message)
    assert.has_error(function() w[1] = 0 end)
    assert.has_error(function() peri.no_grad(function() return w[{ {1, 2} }] end):zero_() end)
    assert.same({ 1, 1, 1 }, w:totable())
  end)

  it("are noticed by backward when a saved tensor changed", function()
    local w = peri.ones(3, { requires_grad = true })
    local y = (w * 2):exp()
    peri.no_grad(function() y:add_(1) end)
    local ok, message = pcall(function() y:sum():backward() end)
    assert.is_false(ok)
    assert.matches("backward: the result of exp was changed in place", message)
  end)
end)
