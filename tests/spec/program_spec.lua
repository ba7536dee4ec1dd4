-- The standalone program's command line, seen from outside.
local run = require "support.program"

describe("the program #program", function()
  it("runs an empty statement", function()
    assert.same({"", "", 0}, {run {"-e", ""}})
  end)

  it("runs a script with its arguments", function()
    local script = os.tmpname()
    local file <close> = assert(io.open(script, "w"))
    file:write("print(..., #arg, arg[0] == '", script, "', arg[-1])  print(select('#', ...))")
    file:close()
    local out, err, status = run {"-W", script, "a", "b c"}
    os.remove(script)
    assert.same({"a\t2\ttrue\t-W\n2\n", "", 0}, {out:gsub("a\tb c", "a"), err, status})
  end)

  it("runs standard input", function()
    assert.same({"a\tb\n", "", 0}, {run({"-", "a", "b"}, "print(...)")})
    assert.same({"1\n", "", 0}, {run({}, "print(1)")})
  end)

  it("takes -e, -l, -v, -E, -W, -- as lua does", function()
    assert.same({"1\n2\n", "", 0}, {run {"-e", "x = 1 print(x)", "-eprint(x + 1)"}})
    assert.same({"true\ttrue\n", "", 0}, {run {"-lstring", "-l", "s=string", "-e", "print(s == string, s.rep ~= nil)"}})
    assert.matches("^Perilune %d+%.%d+%.%d+, Lua 5%.4", (run {"-v"}))
    assert.same({"1\n", "", 0}, {run({"-E", "-e", "print(1)"}, "", "LUA_INIT=nonsense")})
    assert.same({"", "Lua warning: careful\n", 0}, {run {"-W", "-e", "warn('careful')"}})
    assert.same({"", "", 0}, {run {"-e", "warn('careful')"}})
    assert.matches("cannot open %-x", (select(2, run {"--", "-x"})))
  end)

  it("runs LUA_INIT, the versioned one before the other", function()
    assert.same({"init\nscript\n", "", 0}, {run({"-e", "print 'script'"}, "", "LUA_INIT=print'init'")})
    assert.same({"5.4\n", "", 0}, {run({"-e", ""}, "", "LUA_INIT=print'init'", "LUA_INIT_5_4=print'5.4'")})
    local _, err, status = run({"-e", "print(1)"}, "", "LUA_INIT=(")
    assert.matches("LUA_INIT:1:", err)
    assert.equal(1, status)
  end)

  it("prints tensors in lines of the terminal's width, or of 80 characters", function()
    local function widest(code, ...)
      local most, lines = 0, 0
      for line in run({ "-e", "local peri = require 'perilune' print(" .. code .. ")" }, "", ...):gmatch "[^\n]+" do
        most, lines = math.max(most, #line), lines + 1
      end
      return most, lines
    end
    assert.same({ 78, 4 }, { widest("peri.arange(1, 60)", "COLUMNS=80") })
    assert.same({ 38, 7 }, { widest("peri.arange(1, 60)", "COLUMNS=40") })
    assert.same({ 238, 2 }, { widest("peri.arange(1, 60)", "COLUMNS=1000") })
    assert.same({ 78, 4 }, { widest("peri.arange(1, 60)", "COLUMNS=") })
    assert.same({ 78, 4 }, { widest("peri.arange(1, 60)", "COLUMNS=-3") })
    assert.same({ 78, 13 }, { widest("peri.full({3, 30}, 0.25)", "COLUMNS=80") })
    assert.matches("^columns 1 to 10\n0%.2500  .*\ncolumns 21 to 30\n.*%[float32 3x30%]\n$",
      (run({ "-e", "print(require 'perilune'.full({3, 30}, 0.25))" }, "", "COLUMNS=80")))
  end)

  it("sets no global of its own", function()
    assert.same({"nil\tnil\tnil\n", "", 0}, {run {"-e", "print(peri, perilune, help)"}})
  end)

  it("gives perilune to require, with the threads that are asked for", function()
    assert.same({"table\tnil\n", "", 0}, {run {"-e", "print(type(require 'perilune'), perilune)"}})
    assert.same({"table\n", "", 0}, {run {"-lperilune", "-e", "print(type(perilune))"}})
    assert.same({"", "", 0}, {run {"--threads", "3", "-e", "require 'perilune'"}})
    assert.same({"", "", 0}, {run {"--threads=3", "-e", "require 'perilune'"}})
  end)

  it("lets scripts require C modules", function()
    assert.same({"function\n", "", 0}, {run {"-e", "print(type(require('lfs').currentdir))"}})
  end)

  it("says of a name that is nil what was meant", function()
    local function hint(code)
      local _, err, status = run { "-e", "local peri = require 'perilune' local nn, net = peri.nn " .. code }
      assert.equal(1, status)
      return err:match "^[^\n]*"
    end
    assert.matches("nil value %(field 'tensr'%): did you mean peri%.tensor%?$", hint "peri.tensr(2)")
    assert.matches("nil value %(field 'Linaer'%): did you mean peri%.nn%.Linear%?$", hint "nn.Linaer(2, 3)")
    assert.matches("nil value %(field 'Linear'%): did you mean peri%.nn%.Linear%?$", hint "peri.Linear(2, 3)")
    assert.matches("nil value %(field 'trian'%): did you mean peri%.train%?$", hint "peri.trian.fit {}")
    assert.matches("did you mean peri%.linalg%.solve%?$", hint "peri.linalg.sovle()")
    assert.matches("did you mean peri%.optim%.lr_scheduler%.StepLR%?$", hint "peri.optim.StepLR()")
    assert.matches("nil value %(field 'frobnicate'%)$", hint "peri.frobnicate()")
    assert.matches("nil value %(field 'grad'%) %(a gradient is nil until backward",
      hint "local w = peri.ones(2, {requires_grad = true}) w = w - 1 print(w.grad * 2)")
    assert.matches("%(global 'peri'%) %(scripts begin with: local peri = require \"perilune\"%)\n",
      (select(2, run { "-e", "peri.zeros(2)" })))
    local script = os.tmpname()
    local file <close> = assert(io.open(script, "w"))
    file:write "local peri = require 'perilune'\nlocal own = {}\nown.tensr(peri)\n"
    file:flush()
    assert.matches(":3: attempt to call a nil value %(field 'tensr'%)\n", (select(2, run { script })))
    os.remove(script)
    assert.same({ "true\tnil\n", "", 0 }, { run { "-e",
      "local p = require 'perilune' print(pcall(function() return p.tensr end))" } })
  end)

  it("reports errors with a traceback and status 1", function()
    local out, err, status = run {"-e", "local function f() error('wrong') end f()"}
    assert.same({"", 1}, {out, status})
    assert.matches("^perilune: %(command line%):1: wrong\nstack traceback:\n.*in main chunk", err)
    assert.matches("error object is a table value: {}", (select(2, run {"-e", "error({})"})))
    assert.matches('error object is a table value: {code = 3, what = "x"}%)',
      (select(2, run { "-e", "error({code = 3, what = 'x'})" })))
    assert.same("perilune: text\n",
      (select(2, run {"-e", "error(setmetatable({}, {__tostring = function() return 'text' end}))"})))
    assert.matches("cannot open /nowhere", (select(2, run {"/nowhere"})))
    assert.equal(7, (select(3, run {"-e", "os.exit(7)"})))
  end)

  it("rejects options that it does not know", function()
    for option, message in pairs {
      ["-x"] = "unrecognized option '-x'",
      ["--nonsense"] = "unrecognized option '--nonsense'",
      ["--threads=0"] = "a number from 1 to 1024 is needed after '--threads=0'",
      ["--threads=2x"] = "a number from 1 to 1024 is needed after '--threads=2x'",
      ["--threads"] = "a number from 1 to 1024 is needed after '--threads'",
      ["-e"] = "an argument is needed after '-e'",
    } do
      local out, err, status = run {option}
      assert.same({"", 1}, {out, status})
      assert.equal("perilune: " .. message, err:match("^[^\n]*"))
      assert.matches("usage: perilune", err)
    end
    assert.matches("^usage: perilune", (run {"--help"}))
    assert.matches("^Perilune ", (run {"--version"}))
  end)
end)

describe("Ctrl-C #program", function()
  -- os.execute would have the program ignore the signal meanwhile; io.popen does not. The count ends a loop that is
  -- not stopped.
  local PRESS = [[
local pid = io.open("/proc/self/stat"):read "n"
function press() io.popen("kill -INT " .. pid):close() end
function long(f) for _ = 1, 300000000 do f() end print "not stopped" end
function idle() end
]]
  local function press(body, ...) return run({...}, PRESS .. body) end
  local function stops(body)
    local out, err, status = press(body)
    assert.same({"", 1}, {out, status}, body)
    assert.matches("interrupted", err)
  end

  it("stops a script, and the script may catch that", function()
    stops "press() long(idle)"
    local out = press "print(pcall(function() press() long(idle) end)) print 'on'"
    assert.matches("^false\t[^\n]*interrupted!\non\n$", out)
  end)

  it("stops coroutines, in coroutines, and those made before, between many others", function()
    stops "coroutine.wrap(function() press() long(idle) end)()"
    stops "coroutine.wrap(function() coroutine.wrap(function() press() long(idle) end)() end)()"
    stops "assert(coroutine.resume(coroutine.create(function() press() long(idle) end)))"
    stops [[
local kept = {}
for i = 1, 20000 do
  local co = coroutine.create(function() coroutine.yield() long(idle) end)
  coroutine.resume(co)
  if i % 100 == 0 then kept[#kept + 1] = co end
end
collectgarbage()
press = (function(press) return function() coroutine.wrap(press)() end end)(press)
pcall(press)
for i, co in ipairs(kept) do
  local fine, message = coroutine.resume(co, i == 1 and press())
  assert(not fine and message:find "interrupted")
end]]
  end)

  it("stops loops of small operations, also in a coroutine", function()
    local loop = "local x = require 'perilune'.ones(3) press() long(function() local _ = x:exp() end)"
    stops(loop)
    stops("coroutine.wrap(function() " .. loop .. " end)()")
  end)

  it("pressed again gets out of loops that catch errors", function()
    stops "long(function() pcall(press) end)"
    stops "long(function() pcall(pcall, function() long(function() pcall(press) end) end) end)"
    stops "long(function() coroutine.resume(coroutine.create(press)) end)"
    stops "local peri = require 'perilune' long(function() pcall(function() press() peri.ones(2):exp() end) end)"
  end)

  it("leaves the script's own hooks, and none of its own", function()
    local out = press [[
local mine, other = function() end, coroutine.create(function() end)
debug.sethook(mine, "c", 1000)
pcall(function() press() long(idle) end)
local hook, mask, count = debug.gethook()
print(hook == mine, mask, count, debug.gethook(other))]]
    assert.equal("true\tc\t1000\tnil\n", (out:gsub("\t\t0", "")))
  end)

  it("names the script's line, not the module's", function()
    local _, err = press [[
local peri = require "perilune"
local model = peri.nn.Linear(2, 1)
peri.train.fit {model = model, optimizer = peri.optim.SGD(model:parameters(), {lr = 0.1}), on_batch = press,
  train = {peri.ones(8, 2), peri.ones(8, 1)}}
]]
    assert.matches("^perilune: stdin:%d+: interrupted", err)
  end)

  it("in a finaliser stops what runs", function()
    stops [[
local x = require "perilune".ones(3)
setmetatable({}, {__gc = function() press() for _ = 1, 10 do local _ = x:exp() end end})
collectgarbage()
long(idle)]]
  end)

  it("pressed again ends a script that looks at nothing, but not a prompt", function()
    local finaliser = "setmetatable({}, {__gc = function() press() press() press() print 'alive' end}) collectgarbage()"
    local out, _, status = press(finaliser)
    assert.same({"", 128 + 2}, {out, status})
    local err
    out, err, status = run({"-i"}, PRESS:gsub("\n", " ") .. "\nx = 42\n" .. finaliser .. "\nprint(x)\n")
    assert.same({"alive\n42\n", 0}, {out, status})
    assert.matches("Ctrl%-\\ ends the program", err)
    assert.matches("interrupted!", err)
  end)

  it("never ends a prompt", function()
    local function prompt(lines)
      local out, err, status = run({"-i"}, PRESS:gsub("\n", " ") .. "\nx = 42\n" .. lines .. "\nprint(x)\n")
      assert.same({"42\n", 0}, {out, status}, lines)
      return err
    end
    assert.matches("interrupted!", prompt "press() long(idle)")
    assert.matches("interrupted!", prompt "long(function() pcall(press) end)")
    local slow = "setmetatable({}, {%s = function() press() long(idle) end})"
    assert.matches("interrupted!", prompt(slow:format "__tostring"))
    assert.matches("interrupted!", prompt("_PROMPT = " .. slow:format "__tostring" .. "\n_PROMPT = nil"))
    assert.matches("interrupted!", prompt("local c <close> = " .. slow:format "__close"))
  end)
end)

describe("peri.manual_seed #program", function()
  it("seeds math.random in the program", function()
    local draw = 'require("perilune").manual_seed(3) print(math.random(1000000))'
    assert.same({(run {"-e", draw})}, {(run {"-e", draw})})
  end)
end)
