-- How tensors are printed (peri.set_printoptions), and their summaries (x:describe()).
local peri = require "perilune"
local fails = require("support.fails").with
local run = require "support.program"

describe("set_printoptions", function()
  local before = peri.get_printoptions()
  after_each(function() peri.set_printoptions(before) end)

  it("begins with NumPy's, and takes back what get_printoptions gave", function()
    assert.same({ precision = 4, threshold = 1000, edge_items = 3, line_width = "auto", sci_mode = "auto" }, before)
    local other = { precision = 2, threshold = 10, edge_items = 1, line_width = 30, sci_mode = true }
    peri.set_printoptions(other)
    assert.same(other, peri.get_printoptions())
    peri.set_printoptions { precision = 7 }
    other.precision = 7
    assert.same(other, peri.get_printoptions())
    peri.set_printoptions(before)
    assert.same(before, peri.get_printoptions())
  end)

  it("says digits and exponents", function()
    local x = peri.tensor({ 0.125, 3 }, { dtype = "float64" })
    local function printed(options)
      peri.set_printoptions(options)
      return tostring(x)
    end
    assert.equal("0.1250  3.0000\n[float64 2]", printed {})
    assert.equal("0.1  3.0\n[float64 2]", printed { precision = 1 })
    assert.equal("1e-01  3e+00\n[float64 2]", printed { precision = 0 })
    assert.equal("0  3\n[float64 2]", printed { sci_mode = false })
    assert.equal("1e-01  3e+00\n[float64 2]", printed { sci_mode = "auto" })
    assert.equal("1.2e-01  3.0e+00\n[float64 2]", printed { precision = 1, sci_mode = true })
    x = peri.tensor { 1, 2 }
    assert.equal("1.00e+00  2.00e+00\n[float32 2]", printed { precision = 2 })
    assert.equal("1.  2.\n[float32 2]", printed { sci_mode = false })
    x = peri.tensor({ 1e-9, 1 }, { dtype = "float64" })
    assert.equal("0.0000000010000000  1.0000000000000000\n[float64 2]", printed { precision = 16 })
    assert.matches("^1.00e%-09", printed { precision = 2, sci_mode = "auto" })
    x = peri.tensor({ math.huge, -1.7976931348623157e308, 0.5 }, { dtype = "float64" })
    assert.matches("^ +inf%s+%-179769313486%d+%.00", printed { sci_mode = false })
    assert.equal(309, #tostring(x):match "%-(%d+)")
    x = peri.tensor({ math.mininteger, 7 }, { dtype = "int64" })
    assert.matches("^%-9223372036854775808 +7\n", printed { sci_mode = true })
  end)

  it("says what is left out, and how long lines are", function()
    local x = peri.arange(1, 12)
    peri.set_printoptions { threshold = 11, edge_items = 2 }
    assert.equal(" 1   2  ...  11  12\n[int64 12]", tostring(x))
    assert.equal("1  2  ...  5  6\n1  2  ...  5  6\n...\n1  2  ...  5  6\n1  2  ...  5  6\n[int64 6x6]",
      tostring(peri.arange(1, 6):expand(6, 6)))
    peri.set_printoptions { threshold = 12 }
    assert.equal(" 1   2   3   4   5   6   7   8   9  10  11  12\n[int64 12]", tostring(x))
    peri.set_printoptions { line_width = 14 }
    assert.equal(" 1   2   3   4\n 5   6   7   8\n 9  10  11  12\n[int64 12]", tostring(x))
    peri.set_printoptions { threshold = 0, edge_items = 1000000 }
    assert.equal(" 1   2   3   4\n 5   6   7   8\n 9  10  11  12\n[int64 12]", tostring(x))
    peri.set_printoptions { threshold = 1000, edge_items = 3 }
    assert.equal("[float32 0]", tostring(peri.zeros(0)))
    assert.equal("7  [int64 0-d]", tostring(peri.tensor(7, { dtype = "int64" })))
    assert.equal("[float32 3x0x2]", tostring(peri.zeros(3, 0, 2)))
    assert.is_true(#tostring(peri.zeros(1):expand(1000, 1000, 1000)) < 2000)
  end)

  it("refuses what it does not know, and then changes nothing", function()
    local refused = {
      ["unknown option presicion (known: precision, threshold, edge_items, line_width, sci_mode): did you mean " ..
        "precision?"] = { presicion = 3 },
      ["precision is 18 (expected 0 to 17)"] = { precision = 18 },
      ["precision must be a whole number, got 1.5"] = { precision = 1.5 },
      ["threshold is -1 (expected at least 0)"] = { threshold = -1 },
      ["edge_items is 0 (expected 1 to 2147483647)"] = { edge_items = 0 },
      ["line_width is 0 (expected 1 to 2147483647)"] = { line_width = 0 },
      ["line_width must be auto or a whole number, got 'wide'"] = { line_width = "wide" },
      ["sci_mode must be true, false or 'auto', got 1"] = { precision = 9, sci_mode = 1 },
      ["sci_mode must be true, false or 'auto', got 'never'"] = { precision = 9, sci_mode = "never" },
      ["options must have names, got the key 1"] = { 4 },
    }
    for text, options in pairs(refused) do fails("set_printoptions: " .. text, peri.set_printoptions, options) end
    fails("set_printoptions: options must be a table, got nil", peri.set_printoptions)
    fails("set_printoptions: options must be a table, got 4", peri.set_printoptions, 4)
    assert.same(before, peri.get_printoptions())
  end)

  it("holds for one Lua state", function()
    peri.set_printoptions { precision = 1 }
    assert.equal("0.1250  [float32 0-d]\n", (run { "-e", "print(require('perilune').tensor(0.125))" }))
  end)
end)

describe("describe", function()
  it("counts and measures all elements, without NaN", function()
    local d = peri.tensor({ 4, 1, 0 / 0, 3, 2 }, { dtype = "float64" }):describe()
    assert.same({ 4, 1, 2.5, 1, 1.75, 2.5, 3.25, 4 },
      { d.count, d.nan, d.mean, d.min, d.q25, d.median, d.q75, d.max })
    assert.is_true(math.abs(d.std - (5 / 3) ^ 0.5) < 1e-15)
    assert.equal("count      4\nmean     2.5\nstd    1.291\nmin        1\n25%     1.75\n50%      2.5\n" ..
                 "75%     3.25\nmax        4\nnan        1", tostring(d))
  end)

  it("does so for each column of a matrix, of any dtype and strides", function()
    local x = peri.tensor({ { 1, 10 }, { 5, 30 }, { 3, 20 } }, { dtype = "int64" })
    for _, y in ipairs { x, x:t():contiguous():t(), x:to "float32", x:to "uint8" } do
      local d = y:describe()
      assert.same({ { 3, 3 }, { 3, 20 }, { 2, 10 }, { 1, 10 }, { 2, 15 }, { 3, 20 }, { 4, 25 }, { 5, 30 }, { 0, 0 } },
        { d.count:totable(), d.mean:totable(), d.std:totable(), d.min:totable(), d.q25:totable(),
          d.median:totable(), d.q75:totable(), d.max:totable(), d.nan:totable() })
      assert.equal("column  count  mean  std  min  25%  50%  75%  max  nan\n" ..
                   "1           3     3    2    1    2    3    4    5    0\n" ..
                   "2           3    20   10   10   15   20   25   30    0", tostring(d))
    end
    local lines = select(2, tostring(peri.zeros(2, 100):describe()):gsub("\n", ""))
    assert.equal(11, lines)
    assert.matches("\n5 .*\n%.%.%.\n96 ", tostring(peri.zeros(2, 100):describe()))
  end)

  it("agrees with the rows that compute one of them", function()
    peri.manual_seed(5)
    local x = peri.randn(1000, { dtype = "float64" })
    local d = x:describe()
    assert.is_true(math.abs(d.mean - x:mean():item()) < 1e-14 and math.abs(d.std - x:std():item()) < 1e-14)
    assert.same({ x:min():item(), x:max():item() }, { d.min, d.max })
  end)

  it("bears little, infinite and no values, and leaves the graph alone", function()
    local d = peri.zeros(0):describe()
    assert.same({ 0, 0 }, { d.count, d.nan })
    for _, name in ipairs { "mean", "std", "min", "median", "max" } do assert.is_true(d[name] ~= d[name], name) end
    assert.equal("count    0\nmean   nan", tostring(d):match "^[^\n]*\n[^\n]*")
    d = peri.tensor(3):describe()
    assert.same({ 1, 3, 3, 3 }, { d.count, d.mean, d.min, d.max })
    assert.is_true(d.std ~= d.std)
    d = peri.tensor({ math.huge, 1, math.huge }):describe()
    assert.same({ 1, math.huge, math.huge, math.huge }, { d.min, d.median, d.max, d.mean })
    d = peri.tensor({ true, false, true, true }):describe()
    assert.same({ 0.75, 0, 1 }, { d.mean, d.min, d.max })
    d = peri.zeros(0, 2):describe()
    assert.same({ { 0, 0 }, { 0, 0 } }, { d.count:totable(), d.nan:totable() })
    assert.same({}, peri.zeros(3, 0):describe().mean:totable())
    local w = peri.randn(4, 2, { requires_grad = true })
    assert.is_false(w:describe().mean.requires_grad)
    assert.is_false((w * 2):describe().std.requires_grad)
  end)

  it("is a method of tensors", function()
    fails("describe: x must be a tensor, got 3", peri.zeros(1).describe, 3)
    fails("describe: too many arguments: 1 was not expected", peri.zeros(1).describe, peri.zeros(1), 1)
  end)
end)
