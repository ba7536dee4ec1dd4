-- Memory: garbage in tensors is collected without being asked for, training stays flat, and what does
-- not fit is a clean error. Loops run in interpreters of their own: the program's, or the stock one.
local peri = require "perilune"
local directory = os.getenv "PERILUNE_BUILD_DIR" or "build"

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

-- What a fresh interpreter prints for a script, in which `peri` and `peak` (bytes of tensors, in MB) are known.
local function fresh(script)
  script = "local peri = require 'perilune' local function peak() return peri.memory().peak / 1e6 end " .. script
  local pipe = assert(io.popen(quote(directory .. "/perilune") .. " -e " .. quote(script) .. " 2>&1"))
  local out = pipe:read "a"
  local ok, kind, status = pipe:close()
  assert(ok, ("%s %s: %s"):format(kind, status, out))
  return out
end

local function fresh_number(script) return assert(tonumber(fresh(script)), "no number") end

describe("garbage in tensors #once", function()
  it("of 2,000 tensors of 10 MB is collected as it arises #slow", function()
    assert.is_true(fresh_number "for i = 1, 2000 do local x = peri.empty(2500000) end print(peak())" < 100)
  end)

  it("is collected in the other modes of the collector and in functions that make it", function()
    for _, script in ipairs {
      "for i = 1, 40 do local x = peri.zeros(2500000) end",
      "collectgarbage 'generational' for i = 1, 40 do local x = peri.zeros(2500000) end",
      "collectgarbage 'incremental' for i = 1, 40 do local x = peri.zeros(2500000) end",
      "local x = peri.ones(2500000) for i = 1, 40 do x = x + 1 end",
      "local x = peri.ones(2500000) for i = 1, 40 do local y = x:clone() end",
      "local x = peri.ones(2500000) for i = 1, 40 do local y = peri.tensor(x) end",
      "local x = peri.ones(2500, 1000) for i = 1, 40 do local y = x:t():contiguous() end",
      "local x = peri.ones(2500000) local m = x:gt(0) for i = 1, 40 do local y = x[m] end",
      "local x = peri.ones(2500000) for i = 1, 40 do local m, n = x:gt(0), x:eq(1) end",
      "for i = 1, 20 do local x = peri.data.circles(500000, {dtype = 'float64'}) end",
      "for i = 1, 40 do pcall(function() error(peri.zeros(2500000)) end) end",
      "for i = 1, 40 do coroutine.wrap(function() local x = peri.zeros(2500000) coroutine.yield() end)() end",
      "local loader = peri.data.loader({peri.ones(25000, 1000)}, {batch_size = 250, shuffle = true}) " ..
        "for x in loader do local y = x + 1 end",
    } do
      assert(fresh_number(script .. " print(peak())") < 260, script)
    end
  end)

  it("is left alone while the collector is stopped, until the budget is short", function()
    local in_use = fresh_number [[
      collectgarbage 'stop'
      for i = 1, 40 do local x = peri.zeros(1000000) end
      print(peri.memory().in_use / 1e6)]]
    assert.is_true(in_use >= 160)
  end)

  it("goes when it is asked to", function()
    local held = {peri.zeros(1000000)}
    local before = peri.memory().in_use
    assert.equal(1000000, #table.remove(held))
    collectgarbage()
    assert.is_true(peri.memory().in_use <= before - 4000000)
  end)
end)

describe("training #once", function()
  it("takes no more memory after 3,000 steps than after 30", function()
    local out = fresh [[
      peri.manual_seed(1)
      local x, y = peri.randn(500, 100), peri.randn(500, 10)
      local w = peri.randn(100, 10, {requires_grad = true})
      local function train(steps)
        for _ = 1, steps do
          local loss = ((x:matmul(w):tanh() - y) ^ 2):mean()
          loss:backward()
          peri.no_grad(function() w:sub_(w.grad * 0.01) end)
          w.grad:zero_()
        end
        return peak()
      end
      local early = train(30)
      print(early, train(3000), collectgarbage 'count' / 1024)]]
    local early, late, lua = out:match "(%S+)%s+(%S+)%s+(%S+)"
    assert(tonumber(late) <= tonumber(early) + 10, out)
    assert(tonumber(late) < 40 and tonumber(lua) < 8, out)
  end)

  it("is flat for a graph that is built and dropped, and for gradients that are replaced", function()
    assert.is_true(fresh_number [[
      local w = peri.ones(10000, {requires_grad = true})
      for i = 1, 3000 do
        local y = ((w * 2):exp() + w):sum()
        if i % 3 == 0 then y:backward() w.grad = nil end
        if i % 3 == 1 then peri.grad(y, w) end
      end
      print(peak())]] < 30)
  end)

  it("frees a long chain of operations without recursion", function()
    assert.equal("2\n", fresh [[
      local w = peri.ones(1, {requires_grad = true})
      local y = w
      for i = 1, 200000 do y = y + 0 end
      (y * 2):backward()
      local z = w
      for i = 1, 200000 do z = z + 0 end
      z = nil
      collectgarbage()
      print(("%d"):format(w.grad[1]))]])
  end)
end)

describe("out of memory", function()
  it("says what was asked, what is in use, and the limit", function()
    local limit = peri.memory().limit
    local elements = limit // 4 + 1000
    local ok, message = pcall(peri.zeros, elements)
    assert.is_false(ok)
    local asked, used, most = message:match(
      "memory_spec.lua:%d+: zeros: out of memory: asked (%d+) bytes, in use (%d+), limit (%d+)$")
    assert(asked, message)
    assert.is_true(tonumber(asked) >= elements * 4)
    assert.same({peri.memory().in_use, limit}, {tonumber(used), tonumber(most)})
  end)

  it("names the operation, also in its form in place and while arguments are checked", function()
    local x = peri.arange(1, 9):to("float32"):view(3, 3)
    local turned, index = x:t(), peri.ones(3, 3, {dtype = "int64"}):t()
    for name, call in pairs {
      add = function() return x + 1 end,
      add_ = function() return x:add_(turned) end, -- copies what it would disturb
      gather = function() return x:gather(1, index) end, -- reads the index in order
      ["linalg.solve"] = function() return peri.linalg.solve(turned, x) end,
    } do
      peri._fail_after(0)
      local ok, message = pcall(call)
      peri._fail_after(-1)
      assert.is_false(ok, name)
      assert.matches(": " .. name .. ": out of memory: asked", message)
    end
    peri._fail_after(0)
    local _, message = pcall(peri.data.circles, 10) -- no operation runs
    peri._fail_after(-1)
    assert.is_nil(message:match "add", message)
  end)

  it("leaves everything as it was, and goes on", function()
    local a = peri.arange(1, 6):to "float32"
    local before = peri.memory().in_use
    for _, f in ipairs {
      function() return a:expand(2 ^ 38, 6) + 1 end,
      function() return a:view(6, 1):expand(6, 2 ^ 38):contiguous() end,
      function() return peri.cat {a:expand(2 ^ 38, 6), a:view(1, 6)} end,
      function() return a:expand(2 ^ 40, 6):sum(2) end,
    } do
      local ok, message = pcall(f)
      assert.is_false(ok)
      assert.matches("out of memory", message)
    end
    collectgarbage()
    assert.is_true(peri.memory().in_use <= before)
    assert.same({2, 3, 4, 5, 6, 7}, (a + 1):totable())
  end)

  it("in the middle of training can be survived", function()
    local w = peri.ones(100, {requires_grad = true})
    local results = {}
    for n = 0, 60 do
      peri._fail_after(n)
      local ok, message = pcall(function()
        local loss = ((w * 3):exp() - 1):sum()
        loss:backward()
      end)
      peri._fail_after(-1)
      results[#results + 1] = ok
      if ok then break end
      assert.matches("out of memory", message)
      assert.is_nil(w.grad)
    end
    assert.is_true(results[#results] and #results > 3)
  end)
end)
