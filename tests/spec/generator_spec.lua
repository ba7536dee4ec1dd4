-- Streams of random numbers: peri.Generator, the state of the default stream, and what rows draw from them.
local peri = require "perilune"
local samples = require "support.samples"
local fails = require("support.fails").with

local function bits(t) return samples.bits(t) end

describe("a generator", function()
  it("is a stream of its own, that of its seed", function()
    peri.manual_seed(3)
    local first, second = peri.rand(5), peri.randn(5)
    peri.manual_seed(9)
    local expected = bits(peri.rand(5))
    peri.manual_seed(9)
    local g = peri.Generator(3)
    assert.equal(bits(first), bits(peri.rand(5, { generator = g })))
    assert.equal(bits(second), bits(peri.randn({ 5 }, { generator = g })))
    assert.equal(expected, bits(peri.rand(5)))
    assert.equal(3, g:initial_seed())
    assert.equal(0, peri.Generator():initial_seed())
    assert.equal("generator of seed 3", tostring(g))
    assert.equal("generator", peri.type(g))
  end)

  it("serves every random operation, in every form, and leaves the default stream alone", function()
    local count = 0
    samples.each(function(op, call)
      if not op.random then return end
      for s in ipairs(samples.arguments(op)) do
        local function arguments(generator)
          local list = (samples.one(op, s))
          local last = list[#list]
          if generator and (type(last) ~= "table" or next(last) == nil or #last > 0) then
            last = {}
            list[#list + 1] = last
          end
          if generator then last.generator = generator end
          return list
        end
        local given = arguments()
        peri.manual_seed(11)
        local plain = bits(call(table.unpack(given)))
        for seed, same in pairs { [11] = true, [12] = false } do
          local list = arguments(peri.Generator(seed))
          peri.manual_seed(5)
          local got = bits(call(table.unpack(list)))
          local after = bits(peri.rand(3))
          peri.manual_seed(5)
          assert.equal(after, bits(peri.rand(3)), op.name)
          if same then assert.equal(plain, got, op.name) end
          if not same and #got > 60 then assert.not_equal(plain, got, op.name) end
        end
        count = count + 1
      end
    end)
    assert.is_true(count > 20)
  end)

  it("begins anew, goes back, and has copies", function()
    local g = peri.Generator(1)
    local state = g:get_state()
    assert.same({ "int64", { 2 }, { 1, 0 } }, { state.dtype, state.shape, state:totable() })
    local a = bits(peri.rand(7, { generator = g }))
    local h = g:clone()
    local b = bits(peri.rand(7, { generator = g }))
    assert.equal(b, bits(peri.rand(7, { generator = h })))
    assert.equal(g, g:set_state(state))
    assert.equal(a, bits(peri.rand(7, { generator = g })))
    assert.equal(g, g:manual_seed(1))
    assert.equal(a, bits(peri.rand(7, { generator = g })))
    local seed = g:seed()
    assert.equal("integer", math.type(seed))
    local c = bits(peri.rand(7, { generator = g }))
    assert.equal(c, bits(peri.rand(7, { generator = peri.Generator(seed) })))
    assert.not_equal(seed, g:seed()) -- once in 2^64
  end)

  it("draws nothing where the call fails", function()
    local g = peri.Generator(4)
    local before = g:get_state():totable()
    fails("uniform: low is 2 and high is 1", peri.uniform, 2, 1, 3, { generator = g })
    local size = 1 << 40
    fails("rand: out of memory", peri.rand, size, { generator = g })
    fails("element 1 of p is 2 (expected 0 to 1)", peri.bernoulli, peri.tensor { 2 }, { generator = g })
    assert.same(before, g:get_state():totable())
    require("support.failing").inject("multinomial", function() return bits(g:get_state()) end, function()
      peri.multinomial(peri.ones(50), 20, { generator = g })
    end)
  end)

  it("says what is wrong", function()
    local g = peri.Generator(1)
    fails("randn: generator must be a peri.Generator, got 3", peri.randn, 3, { generator = 3 })
    fails("zeros: unknown option 'generator'", peri.zeros, 3, { generator = g })
    fails("randn: unknown option 'genrator' (known: dtype, requires_grad, generator): did you mean generator?",
      peri.randn, 3, { genrator = g })
    fails("Generator: seed must be a whole number, got 'a'", peri.Generator, "a")
    fails("generator: there is no field or method 'sed'", function() return g.sed end)
    fails("manual_seed: called with nothing (expected g:manual_seed(...))", g.manual_seed)
    fails("set_state: state is a tensor float32 2 (expected int64 2, as get_state gives it)", g.set_state, g,
      peri.zeros(2))
    fails("set_state: state must be a tensor, got 3", g.set_state, g, 3)
    assert.is_true(g:has "clone" and not g:has "draw")
  end)
end)

describe("the default stream", function()
  it("can be kept and continued, also in a file", function()
    peri.manual_seed(21)
    assert.equal(21, peri.initial_seed())
    local _ = peri.rand(5)
    local state = peri.get_rng_state()
    local a = bits(peri.randn(9))
    local path = os.tmpname()
    peri.save(path, { rng = state })
    peri.set_rng_state(peri.load(path).rng)
    os.remove(path)
    assert.equal(a, bits(peri.randn(9)))
    assert.equal(21, peri.initial_seed())
    fails("set_rng_state: state is a tensor int64 3 (expected int64 2", peri.set_rng_state, peri.arange(1, 3))
  end)
end)

describe("draws", function()
  local n = 200000
  local function near(expected, got, tolerance)
    assert.is_true(math.abs(expected - got) < tolerance, ("%g, expected %g"):format(got, expected))
  end

  it("have the moments of their distributions", function()
    peri.manual_seed(77)
    local function moments(x) return x:to "float64":mean():item(), x:to "float64":std():item() end
    for _, case in ipairs {
      { peri.uniform(-2, 4, n), 1, 3 ^ 0.5 }, { peri.exponential(4, n), 0.25, 0.25 },
      { peri.normal(3, 0.5, n), 3, 0.5 }, { peri.normal(peri.zeros(n) + 1, 2), 1, 2 },
      { peri.zeros(n):normal_(-1, 3), -1, 3 }, { peri.zeros(n):exponential_(), 1, 1 },
      { peri.zeros(n):uniform_(), 0.5, 12 ^ -0.5 }, { peri.zeros(n):bernoulli_(0.2), 0.2, 0.4 },
      { peri.bernoulli(peri.full({ n }, 0.9)), 0.9, 0.3 }, { peri.randint(1, 3, n), 2, (2 / 3) ^ 0.5 },
      { peri.zeros(n, 2, { dtype = "float64" }):t():normal_():reshape(-1), 0, 1 },
    } do
      local mean, std = moments(case[1])
      near(case[2], mean, 5 * case[3] / n ^ 0.5 + 1e-6)
      near(case[3], std, 0.02 * case[3])
    end
    assert.is_true(peri.exponential(1, n):gt(0):all())
  end)

  it("choose positions by their weights", function()
    peri.manual_seed(78)
    local weights = peri.tensor { 1, 0, 3, 6 }
    local function shares(index)
      local counts = { 0, 0, 0, 0 }
      for _, i in ipairs(index:totable()) do counts[i] = counts[i] + 1 / #index end
      return counts
    end
    local drawn = shares(weights:multinomial(n, true))
    for i, share in ipairs { 0.1, 0, 0.3, 0.6 } do near(share, drawn[i], 0.005) end
    -- without replacement the second is drawn among the rest: 3 after 6 with chance 0.6 * 3 / 4
    local pairs_drawn, hits = weights:expand(20000, 4):multinomial(2), 0
    for _, row in ipairs(pairs_drawn:totable()) do
      assert.is_true(row[1] ~= row[2] and row[1] ~= 2 and row[2] ~= 2)
      if row[1] == 4 and row[2] == 3 then hits = hits + 1 end
    end
    near(0.45, hits / 20000, 0.02)
  end)
end)
