-- peri.script: what scripts have in common.
local peri = require "perilune"
local run = require "support.program"

describe("script.options", function()
  local script = [[
    local o = require "perilune".script.options { epochs = { 10, quick = 2 }, lr = { 0.5, most = 9 },
      seed = { 0, least = 0 },
      kind = { "a", choices = { "a", "b" } }, loud = { false } }
    print(o.epochs, o.lr, o.seed, o.kind, o.loud, o.quick, o.out)]]

  local function said(...)
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:write(script)
    file:close()
    local out, err, status = run { path, ... }
    os.remove(path)
    return out, (err:gsub("^[^:]+: ", "")), status
  end

  it("reads values, flags and quick values", function()
    assert.matches("^10\t0.5\t0\ta\tfalse\tfalse\tout/lua_%w+\n$", (said()))
    assert.matches("^2\t0.5\t0\ta\tfalse\ttrue\t", (said "--quick"))
    assert.matches("^7\t1.0\t3\tb\ttrue\ttrue\tx y\n$",
      (said("--quick", "--epochs", 7, "--lr=1", "--seed", 3, "--kind=b", "--loud", "--out", "x y")))
  end)

  it("leaves out the default that is empty, and says in one line what a file lacks", function()
    local out = run { "scripts/mnist.lua", "--help" }
    assert.matches("\n  %-%-data DIR +folder of MNIST's files; without it digits are generated\n", out)
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "w"))
    file:write 'local try = require "perilune".script.try print(try(math.max, 1, 2)) try(error, {}) print "no"'
    file:close()
    local err, status
    out, err, status = run { path }
    os.remove(path)
    assert.equal("2\n", out)
    assert.matches("^lua_%w+: table: 0x%x+\n$", err)
    assert.equal(1, status)
  end)

  it("refuses values that an option cannot have", function()
    local cases = {
      { "--epochs must be a whole number from 1, got 0", "--epochs", 0 },
      { "--epochs must be a whole number from 1, got 1.5", "--epochs=1.5" },
      { "--lr must be a number above 0, got nan", "--lr", "nan" },
      { "--lr must be a number up to 9, got 10", "--lr", 10 },
      { "--epochs must be a whole number up to 2147483648, got 9000000000", "--epochs", 9000000000 },
      { "--lr must be a number above 0, got -1", "--lr", "-1" },
      { "--seed must be a whole number from 0, got -1", "--seed", "-1" },
      { "--kind must be one of a, b, got c", "--kind", "c" }, { "--loud takes no value", "--loud=1" },
      { "a value is missing after --out", "--out" }, { "--out must be a folder", "--out=" },
      { "unknown option file (see --help)", "file" }, { "unknown option --Epochs (see --help)", "--Epochs", 3 },
    }
    for _, case in ipairs(cases) do
      local out, err, status = said(table.unpack(case, 2))
      assert.equal(1, status)
      assert.equal("", out)
      assert.equal(case[1] .. "\n", err)
    end
  end)

  it("refuses names and defaults that no option can have", function()
    local function message_of(given)
      local ok, message = pcall(peri.script.options, given, {})
      assert.is_false(ok)
      return message
    end
    assert.matches("script.options: out cannot be the name of an option", message_of { out = { 1 } })
    assert.matches("script.options: save cannot be the name of an option", message_of { save = { 1 } })
    assert.matches("the default of a must be a number, a string or a boolean, got a table", message_of { a = { {} } })
  end)
end)

describe("options:save and options:finish", function()
  -- A script of its own, with the options and the environment that it is run with.
  local function saved(options, environment)
    local path, folder = os.tmpname(), os.tmpname()
    os.remove(folder)
    local file <close> = assert(io.open(path, "w"))
    file:write [[
      local peri = require "perilune"
      local o = peri.script.options {}
      local figure = peri.plot.figure():line { 1, 2 }
      print(o:save(figure, "a"), o:save(figure, "b"))
      o:finish()
      print "after"]]
    file:close()
    local out, err, status = run({ path, "--out", folder, table.unpack(options) }, nil, environment)
    os.remove(path)
    for _, name in ipairs { "a.svg", "a.png", "b.svg", "b.png" } do os.remove(folder .. "/" .. name) end
    return out:gsub(folder:gsub("%p", "%%%0"), "DIR"), (err:gsub("^[^:]+: ", "")), status, os.remove(folder) ~= nil
  end

  it("save both formats and say where", function()
    local out, err, status, made = saved {}
    assert.equal("DIR/a\tDIR/b\npictures: DIR\nafter\n", out)
    assert.equal("", err)
    assert.equal(0, status)
    assert.is_true(made)
  end)

  it("do nothing with --plots no", function()
    local out, err, status, made = saved { "--plots", "no" }
    assert.equal("nil\tnil\nafter\n", out)
    assert.equal("", err)
    assert.equal(0, status)
    assert.is_false(made)
  end)

  it("go on without gnuplot, and fail in the end", function()
    local out, err, status = saved({}, "PATH=/nonexistent")
    assert.equal("nil\tnil\n", out)
    assert.matches("^no pictures: plot: gnuplot is not installed [^\n]+\n$", err)
    assert.equal(1, status)
  end)

  it("end the script at what is no matter of pictures", function()
    local o = peri.script.options({}, {})
    local interrupted = { save = function() error("x.lua:1: interrupted!", 0) end }
    assert.equal("x.lua:1: interrupted!", select(2, pcall(o.save, o, interrupted, "a")))
    assert.matches("save: picture must be a figure or a page, got nil", select(2, pcall(o.save, o, nil, "a")))
    for _, name in ipairs { "../a", "", ".a", "a\0b" } do
      assert.matches("save: name is '.*' %(expected a string without '/'",
        select(2, pcall(o.save, o, interrupted, name)))
    end
  end)

  it("are methods of options", function()
    local o = peri.script.options({}, {})
    assert.matches("save: called with a table", select(2, pcall(o.save, {}, nil, "a")))
    assert.matches("finish: called with nil %(expected options:finish%(...%)%)", select(2, pcall(o.finish)))
  end)
end)

describe("script.time", function()
  it("gives the shortest of some calls, and what the last one gave", function()
    local calls = 0
    local seconds, a, b = peri.script.time(function()
      calls = calls + 1
      return calls, nil
    end, 5)
    assert.is_true(seconds >= 0 and seconds < math.huge)
    assert.same({ 5, 5, nil }, { calls, a, b })
    assert.equal(1, select("#", peri.script.time(function() end)))
  end)

  it("says what is wrong", function()
    assert.matches("script.time: f must be a function, got 3", select(2, pcall(peri.script.time, 3)))
    for text, times in pairs { ["is 0 %(expected at least 1%)"] = 0, ["must be a whole number, got 1.5"] = 1.5,
      ["must be a whole number, got 'x'"] = "x" } do
      assert.matches("script.time: times " .. text, select(2, pcall(peri.script.time, print, times)))
    end
  end)
end)

describe("script.table", function()
  it("aligns columns of words and of numbers", function()
    assert.equal("name   n  loss\nlong  10   0.5\nä      2   nan", peri.script.table {
      { "name", "n", "loss" }, { "long", 10, 0.5 }, { "ä", 2, 0 / 0 },
    })
    assert.equal(80009, #peri.script.table { { "a", "b" }, { ("x"):rep(40000), "q" }, { "y", "" } })
    assert.matches("script.table: row 2 must be a list, got 3", select(2, pcall(peri.script.table, { { "a" }, 3 })))
  end)
end)
