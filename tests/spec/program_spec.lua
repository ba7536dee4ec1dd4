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

  it("reports errors with a traceback and status 1", function()
    local out, err, status = run {"-e", "local function f() error('wrong') end f()"}
    assert.same({"", 1}, {out, status})
    assert.matches("^perilune: %(command line%):1: wrong\nstack traceback:\n.*in main chunk", err)
    assert.matches("error object is a table value", (select(2, run {"-e", "error({})"})))
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

  it("stops a script on SIGINT, and the script may catch that", function()
    local interrupt = "local pid = io.open('/proc/self/stat'):read('n') os.execute('sleep 0.2; kill -INT ' .. pid)"
    local background = interrupt:gsub("sleep", "( sleep"):gsub("%.%. pid", ".. pid .. ' ) &'")
    local _, err, status = run {"-e", background .. " while true do end"}
    assert.matches("interrupted!", err)
    assert.equal(1, status)
    local out = run {"-e", background .. " print(pcall(function() while true do end end)) print 'on'"}
    assert.matches("^false\t[^\n]*interrupted!\non\n$", out)
  end)
end)

describe("peri.manual_seed #program", function()
  it("seeds math.random in the program", function()
    local draw = 'require("perilune").manual_seed(3) print(math.random(1000000))'
    assert.same({(run {"-e", draw})}, {(run {"-e", draw})})
  end)
end)
