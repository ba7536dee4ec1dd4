-- Memory of the estimators: every allocation that fails, what stays when it does, and what is freed.
local peri = require "perilune"
local samples = require "support.samples"
local data = peri.data
local estimators = require "support.estimators"
local failing = require "support.failing"
local live, inject = failing.live, failing.inject
local machines, each_estimator = estimators.machines, estimators.each
local clusters, picture = estimators.clusters, estimators.picture

local function values(t) return t:totable() end

describe("memory", function()
  local threads = peri.get_num_threads()
  setup(function() peri.set_num_threads(1) end)
  teardown(function() peri.set_num_threads(threads) end)

  each_estimator(function(name, new)
    for _, case in ipairs { { 1, 2 }, { 3, 1, 2 } } do
      it(("can fail at each allocation of %s with %d classes"):format(name, #case), function()
        local X, y = clusters(case, 10)
        local T, U = clusters({ 5, 6, 7 }, 4), select(2, clusters({ 5, 6, 7 }, 4))
        local m = new { class_weight = { [1] = 2 } }:fit(X, y)
        local function unchanged() return picture(m, X) end
        local allocations = inject(name .. ".predict", unchanged, function() m:predict(X) end)
        assert.truthy(allocations > 0)
        inject(name .. ".decision_function", unchanged, function() m:decision_function(X) end)
        inject(name .. ".score", unchanged, function()
          m:score(X:totable(), y:totable(), { sample_weight = y:totable() })
        end)
        for _, field in ipairs(machines[name].fields) do
          inject(name .. "." .. field, unchanged, function()
            local own = m[field]
            if peri.is_tensor(own) then own:release() end
            return m[field]
          end)
        end
        local weights = peri.ones(#T)
        m = m:clone { class_weight = "balanced" }:fit(X, y)
        local arguments = { T:t():contiguous():t(), U:to "float32", weights }
        local function state() return picture(m, X) .. samples.all_bits(arguments) end
        allocations = inject(name .. ".fit", state, function()
          m:fit(arguments[1], arguments[2], { sample_weight = weights })
        end)
        assert.truthy(allocations > 10)
        assert.same({ 5, 6, 7 }, values(m.classes))
      end)
    end

    it("of " .. name .. " comes back", function()
      local X, y = clusters({ 1, 2, 3 }, 30)
      new():fit(X, y):predict(X)
      local bytes = live()
      do
        local m = new():fit(X, y)
        for _ = 1, 5 do m:fit(X, y):predict(X) end
        assert.truthy(peri.memory().in_use > bytes)
      end
      assert.equal(bytes, live())
    end)

    it("of " .. name .. " stays flat while scripts fit and forget", function()
      local X, y = data.digits(200, { seed = 1 })
      new { tol = 1 }:fit(X, y)
      local most = 0
      for _ = 1, 30 do
        new { tol = 1 }:fit(X, y):predict(X)
        most = math.max(most, peri.memory().in_use)
      end
      assert.truthy(most < live() + 64 * 2 ^ 20)
    end)

    it("may change under " .. name .. " in a finaliser", function()
      local X, y = clusters({ 1, 2, 3 }, 10)
      local m = new():fit(X, y)
      local function trap()
        setmetatable({}, { __gc = function() m:release() end })
      end
      local pause, speed = collectgarbage("setpause", 1), collectgarbage("setstepmul", 1000)
      for _ = 1, 60 do
        m:fit(X, y)
        trap()
        pcall(m.predict, m, X:totable())
        pcall(function() return m.coef, m.intercept, m.classes, tostring(m) end)
        pcall(m.decision_function, m, X)
      end
      collectgarbage("setpause", pause)
      collectgarbage("setstepmul", speed)
      assert.same({ 1, 2, 3 }, values(m:fit(X, y).classes))
    end)
  end)
end)
