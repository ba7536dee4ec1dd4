-- Every public function of the parts plot, run, report and script, called on and with what it does not expect: an error
-- is one of Perilune's, in its words and with the script's position, never one of its own Lua files.
local peri = require "perilune"
local wording = require "support.wording"
local classes = require "support.internal".classes

local function nothing() end

local VALUES = {
  false, nil, 5, -1, 0 / 0, "x", "a\0b", {}, {1}, {{1, 2}}, {a = 1}, {{{}}}, true, nothing, peri.ones(2, 2), io.stdout,
  coroutine.create(nothing), peri.nn.Linear(1, 1), {"a"}, {nothing}, setmetatable({}, {__index = {1}}),
}
local N = 21 -- with the nil

describe("misuse of", function()
  local folder, real, left = os.tmpname(), {}, {}

  setup(function()
    os.remove(folder)
    assert(os.execute("mkdir " .. folder))
    real.exit, real.print, real.stderr = os.exit, print, io.stderr
    rawset(os, "exit", function() error(left, 0) end)
    _G.print = function() end
    rawset(io, "stderr", {write = function() end, flush = function() end})
  end)

  teardown(function()
    rawset(os, "exit", real.exit)
    rawset(io, "stderr", real.stderr)
    _G.print = real.print
    os.execute("rm -r " .. folder)
  end)

  local function try(name, f, ...)
    local ok, message = pcall(f, ...)
    if ok or message == left then return end
    assert.is_string(message, name)
    assert.matches("^tests/spec/misuse_spec.lua:%d+: ", message, name)
    for _, word in ipairs {"attempt to", "perilune/", "bad argument", "number has no"} do
      assert.is_nil(message:find(word, 1, true), name .. ": " .. message)
    end
    assert.is_nil(wording(message:match "^[^:]*:%d+: (.*)$"), name .. ": " .. message)
  end

  -- f with nothing, with one value and with two; selves() gives what it may be called on.
  local function every(name, f, selves)
    try(name, function() f() end)
    for i = 1, N do
      try(name, function() f(VALUES[i]) end)
      for _, self in ipairs(selves and selves() or {}) do try(name, function() f(self, VALUES[i]) end) end
      for j = 1, N, 3 do
        try(name, function() f(VALUES[i], VALUES[j]) end)
        for _, self in ipairs(selves and selves() or {}) do try(name, function() f(self, VALUES[i], VALUES[j]) end) end
      end
    end
  end

  local function figures()
    local figure = peri.plot.figure():line {1, 2}
    return {figure, peri.plot.page {figure}}
  end

  it("figures and pages", function()
    for name, f in pairs(peri.plot) do every("plot." .. name, f) end
    for name, f in pairs(classes["plot.figure"]) do
      if name ~= "show" then every("figure." .. name, f, figures) end
    end
    local page = figures()[2]
    every("page.save", page.save, figures)
    for _, object in ipairs(figures()) do
      for i = 1, N do
        try("__index", function() return object[VALUES[i]] end)
        if VALUES[i] == VALUES[i] and VALUES[i] ~= nil then try("__newindex", function() object[VALUES[i]] = 1 end) end
        for _, option in ipairs {"title", "width", "xlim", "legend", "rows"} do
          try(option, function() object[option] = VALUES[i] end)
        end
      end
    end
  end)

  it("runs", function()
    local function runs() return {peri.run {name = "x", dir = folder}} end
    every("run", function(...) return peri.run(...) end)
    every("run.json", peri.run.json)
    local Run = getmetatable(runs()[1])
    for _, name in ipairs {"log", "figure", "close", "__close", "__tostring"} do
      local run = runs()
      every("run:" .. name, Run[name], function() return run end)
    end
  end)

  it("scripts and reports", function()
    for name, f in pairs(peri.script) do every("script." .. name, f) end
    local options = peri.script.options({}, {"--out", folder})
    for _, name in ipairs {"save", "finish"} do
      every("options:" .. name, options[name], function() return {options} end)
    end
    every("report", peri.report)
    local rows = {{1, quick = "a"}, {1, doc = 1}, {"a", choices = 5}, {"a", choices = {{}}}, {1, least = "a"}}
    for _, row in ipairs(rows) do
      local ok, message = pcall(peri.script.options, {size = row}, {})
      assert.is_false(ok)
      assert.matches("script.options: [^\n]* of size must be a ", message)
    end
  end)
end)
