-- One answer on every machine with FMA: the digests of support/bits.lua, computed with every set of instructions that
-- this processor has. What another processor answers, ./dev arm compares.
local bits = require "support.bits"
local program = require "support.program"

local function digests(...)
  local out, err, status = program({ "tests/spec/support/bits.lua" }, "", ...)
  assert.equal(0, status, err)
  return out
end

local function kernels(...)
  local script = "local i = require('perilune').build_info() io.write(i.kernels, ' ', tostring(i.same_bits))"
  return (program({ "-e", script }, "", ...))
end

describe("bits #program #slow", function()
  local best = kernels()
  local on_x86 = best:find "^x86" or best:find "^baseline" or best:find "^exact"

  -- The sets that have FMA, as settings; false: on other processors, the one that there is.
  local function sets()
    if not on_x86 then return { false } end
    local list = {}
    for _, set in ipairs { "v3", "v4" } do
      local setting = "PERILUNE_ISA=" .. set
      if kernels(setting) == "x86-64-" .. set .. " true" then list[#list + 1] = setting end
    end
    return list
  end

  local exact -- digests by fma() of the C library

  it("are the same with every set of instructions that has FMA, with fma() instead, and any threads", function()
    local list = sets()
    if #list == 0 then return pending "this processor has no FMA" end
    if #list == 1 then list[2] = list[1] end
    exact = on_x86 and digests("PERILUNE_NUM_THREADS=2", "PERILUNE_ISA=exact")
    local first
    for i, setting in ipairs(list) do
      local threads = "PERILUNE_NUM_THREADS=" .. 2 * i - 1
      local found = digests(threads, setting or nil)
      first = first or exact or found
      local wrong, count = bits.differences(first, found)
      assert.same({}, wrong, ("other bits with %s, %s"):format(threads, setting))
      assert.is_true(count > 2000)
    end
  end)

  it("are a processor's own without FMA, and then the digests tell", function()
    if not on_x86 then return pending "this processor has FMA" end
    assert.equal("baseline false", kernels "PERILUNE_ISA=baseline")
    assert.equal("exact true", kernels("PERILUNE_ISA=baseline", "PERILUNE_EXACT=1"))
    local wrong = bits.differences(exact or digests "PERILUNE_ISA=exact", digests "PERILUNE_ISA=baseline")
    local named = {}
    for _, name in ipairs(wrong) do named[name] = true end
    for _, name in ipairs { "exp: float32", "tanh: float64", "softmax: float32", "Adam 4: float32" } do
      assert.is_true(named[name], name)
    end
    assert.is_nil(named["add: float32"])
  end)

  -- The functions whose last places differ between systems: exp, sin and their like. Lua's own are Lua's.
  it("come from no libm", function()
    local allowed = "fma fmaf fmod fmodf fmin fminf fmax fmaxf nextafter nextafterf"
    local same = {}
    for name in allowed:gmatch "%w+" do same[name] = true end
    local libm = {}
    for name in ([[acos acosh asin asinh atan atan2 atanh cbrt cos cosh erf erfc exp exp10 exp2 expm1 hypot j0 j1 lgamma
      lgamma_r log log10 log1p log2 pow sin sincos sinh tan tanh tgamma y0 y1]]):gmatch "%w+" do
      libm[name], libm[name .. "f"], libm[name .. "l"] = true, true, true
    end
    local directory = os.getenv "PERILUNE_BUILD_DIR" or "build"
    local pipe <close> = assert(io.popen(("nm -D --undefined-only '%s/libperilune_lua.so.0'"):format(directory)))
    local count = 0
    for line in pipe:lines() do
      local name = line:match "^%s+[Uw] ([%w_]+)"
      if name then
        count = count + 1
        assert.is_true(same[name] or not libm[name], "the module calls " .. name)
      end
    end
    assert.is_true(count > 50)
  end)
end)
