-- Rows divided: data.split and folds.
local peri = require "perilune"
local samples = require "support.samples"
local fails = require("support.fails").at_script
local data, select = peri.data, peri.select
local candidates = require "support.candidates"
local X, y, train = candidates.X, candidates.y, candidates.train
local count = candidates.count

local function int64(list) return peri.tensor(list, { dtype = "int64" }) end

local function sorted(list)
  table.sort(list)
  return list
end

local function up_to(n)
  local list = {}
  for i = 1, n do list[i] = i end
  return list
end

describe("data.split", function()
  it("gives every row to one part, with its label", function()
    local rows, labels = peri.arange(1, 100):view(100, 1), peri.arange(101, 200)
    for _, stratify in ipairs { false, true } do
      local s = data.split({ rows, stratify and labels % 4 or labels },
        { train = 0.7, dev = 0.15, test = 0.15, seed = 1, stratify = stratify })
      local all = {}
      for name, size in pairs { train = 70, dev = 15, test = 15 } do
        local part = s[name]
        assert.equal(size, #part.x)
        assert.equal(part.x, part[1])
        assert.equal(part.y, part[2])
        assert.is_true(part.x:select(2, 1):equal(part.index))
        if not stratify then assert.is_true((part.y - 100):equal(part.index)) end
        table.move(part.index:totable(), 1, size, #all + 1, all)
      end
      assert.same(up_to(100), sorted(all))
    end
  end)

  it("follows from the seed", function()
    local function picture(options)
      local s = data.split({ X, y }, options)
      return samples.all_bits { s.train.x, s.train.y, s.test.index }
    end
    assert.equal(picture { test = 0.25 }, picture { train = 0.75, test = 30, seed = 0 })
    assert.not_equal(picture { test = 0.25 }, picture { test = 0.25, seed = 1 })
    assert.not_equal(picture { test = 0.25 }, picture { test = 0.25, stratify = true })
    peri.manual_seed(9)
    local first = peri.rand(2):totable()
    peri.manual_seed(9)
    picture { test = 0.25, stratify = true }
    assert.same(first, peri.rand(2):totable())
  end)

  it("keeps the shares of labels", function()
    local labels = {}
    for i = 1, 200 do labels[i] = i <= 100 and 7 or i <= 160 and -1 or i <= 190 and 3 or 12 end
    for seed = 0, 9 do
      local s = data.split({ peri.zeros(200, 2), int64(labels) }, { dev = 0.1, test = 0.2, seed = seed,
        stratify = true })
      local function near(part, share)
        local counts = count(s[part].y)
        for label, n in pairs { [7] = 100, [-1] = 60, [3] = 30, [12] = 10 } do
          assert.is_true(math.abs(counts[label] - share * n) <= 1, part)
        end
      end
      near("train", 0.7) near("dev", 0.1) near("test", 0.2)
    end
  end)

  it("takes stretches without shuffle, and leaves rows beyond the sum out", function()
    local s = data.split({ X, y }, { train = 30, dev = 20, shuffle = false })
    assert.same(up_to(30), s.train.index:totable())
    assert.equal(31, s.dev.index[1])
    assert.equal(50, s.dev.index[20])
    assert.is_nil(s.test)
    s = data.split({ X, y }, { train = 30, dev = 20, stratify = true })
    assert.same({ 30, 20 }, { #s.train.x, #s.dev.x })
    assert.same({ 15, 15 }, count(s.train.y))
    s = data.split({ x = X, y = y }, { test = 0.5 })
    assert.same({ 60, 60 }, { #s.train.x, #s.test.y })
    s = data.split({ X, y, X + 1 }, { test = 0.5 })
    assert.is_true((s.test.x + 1):equal(s.test[3]))
  end)

  it("refuses what cannot be", function()
    local split = data.split
    fails("split: the first argument must be a table of tensors, got nil", split)
    fails("split: there is no tensor to split", split, {}, { test = 0.5 })
    fails("split: entry 2 must be a tensor, got 3", split, { X, 3 }, { test = 0.5 })
    fails("split: entry 2 is a tensor int64 of 80 but entry 1 has 120 rows", split, { X, train[2] }, { test = 0.5 })
    fails("split: neither dev nor test is given (expected one of them, or both)", split, { X, y })
    fails("split: unknown option valid (known: dev, seed, shuffle, stratify, test, train)", split, { X }, { valid = 1 })
    for text, wrong in pairs { ["0"] = 0, ["-1"] = -1, ["1.5"] = 1.5, nan = 0 / 0, inf = 1 / 0 } do
      fails(("split: test is %s (expected a share up to 1 or a count above 1)"):format(text), split, { X, y },
        { test = wrong })
    end
    fails("split: test must be a number, got 'x'", split, { X, y }, { test = "x" })
    fails("split: the parts add up to 132 of 120 rows", split, { X, y }, { train = 0.9, test = 0.2 })
    fails("split: dev and test leave nothing for train (of 120 rows)", split, { X, y }, { dev = 60, test = 0.5 })
    fails("split: dev would have no row (of 120)", split, { X, y }, { dev = 0.001, test = 0.5 })
    fails("split: seed is -1 (expected at least 0)", split, { X, y }, { test = 0.5, seed = -1 })
    fails("split: stratify needs labels as the second tensor", split, { X }, { test = 0.5, stratify = true })
    fails("split: stratify needs shuffle", split, { X, y }, { test = 0.5, stratify = true, shuffle = false })
    fails("split: class 9 has one row", split, { X[{ { 1, 3 } }], int64 { 1, 1, 9 } }, { test = 0.5, stratify = true })
    fails("split: y has shape 120x2", split, { X, X }, { test = 0.5, stratify = true })
    fails("split: entry 1 of y is ", split, { X, X:select(2, 1) }, { test = 0.5, stratify = true })
  end)
end)

describe("KFold", function()
  it("holds every row out once", function()
    for _, make in ipairs { select.KFold, select.StratifiedKFold } do
      for _, n in ipairs { 2, 3, 7 } do
        local folds, out = make { folds = n, seed = 5 }, {}
        for inside, outside in folds:split(X, y) do
          assert.equal("int64", inside.dtype)
          assert.is_true(#outside == 120 // n or #outside == 120 // n + 1)
          local both = table.move(outside:totable(), 1, #outside, #inside + 1, inside:totable())
          assert.same(up_to(120), sorted(both))
          table.move(outside:totable(), 1, #outside, #out + 1, out)
        end
        assert.same(up_to(120), sorted(out))
      end
    end
  end)

  it("is scikit-learn's without shuffle", function()
    local seen = {}
    for _, outside in select.KFold({ folds = 3, shuffle = false }):split(8) do seen[#seen + 1] = outside:totable() end
    assert.same({ { 1, 2, 3 }, { 4, 5, 6 }, { 7, 8 } }, seen)
  end)

  it("gives the same folds each time, also within a loop", function()
    local folds, n = select.KFold { seed = 2 }, 0
    for _, a in folds:split(X) do
      local first
      for _, b in folds:split(X) do
        first = first or (n == 0 and assert.is_true(a:equal(b)))
        n = n + 1
      end
    end
    assert.equal(25, n)
    local _, other = select.KFold({ seed = 3 }):split(X)()
    local _, mine = folds:split(X)()
    assert.is_false(mine:equal(other))
    assert.equal("KFold{folds = 5, shuffle = true, seed = 2}", tostring(folds))
    assert.equal("StratifiedKFold{folds = 3, seed = 0}", tostring(select.StratifiedKFold { folds = 3 }))
  end)

  it("spreads labels when stratified", function()
    local labels = {}
    for i = 1, 50 do labels[i] = i <= 30 and -4 or i <= 43 and 2 or 8 end
    for _, outside in select.StratifiedKFold({ folds = 4 }):split(50, labels) do
      local counts = count(int64(labels)[outside])
      for label, n in pairs { [-4] = 30, [2] = 13, [8] = 7 } do
        assert.is_true(math.abs(counts[label] - n / 4) < 1)
      end
    end
  end)

  it("refuses what it cannot divide", function()
    fails("KFold: folds is 1 (expected at least 2)", select.KFold, { folds = 1 })
    fails("KFold: unknown option n (known: folds, seed, shuffle)", select.KFold, { n = 3 })
    fails("StratifiedKFold: unknown option shuffle", select.StratifiedKFold, { shuffle = true })
    fails("StratifiedKFold: seed must be a whole number, got 'a'", select.StratifiedKFold, { seed = "a" })
    local folds = select.KFold()
    fails("KFold.split: folds is 5 but X has 3 rows", folds.split, folds, 3)
    fails("KFold.split: X must be a tensor or a table of rows, got 'x'", folds.split, folds, "x")
    local spread = select.StratifiedKFold()
    fails("StratifiedKFold.split: y must be a tensor or a table", spread.split, spread, X)
    fails("StratifiedKFold.split: X has 120 rows but y has 80 labels", spread.split, spread, X, train[2])
    fails("StratifiedKFold.split: folds is 5 but no class has more than 2 rows", spread.split, spread, 6,
      { 1, 1, 2, 2, 3, 3 })
  end)
end)
