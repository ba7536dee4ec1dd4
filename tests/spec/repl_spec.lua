-- The REPL, fed with lines through -i: what is printed, and that a pasted script behaves as a script.
local run = require "support.program"

local function repl(text)
  local out, err, status = run({"-i"}, text)
  assert.equal(0, status)
  return out, err
end

local function prints(expected, text)
  local out, err = repl(text)
  assert.same({expected, ""}, {out, err})
end

-- Lines whose output must be that of the same text run as a script.
local function behaves_as_script(text)
  local out, err = run({"-"}, text)
  assert.equal("", err)
  prints(out, text)
end

describe("the REPL #program", function()
  it("prints the values of expressions", function()
    prints("2\n", "1 + 1\n")
    prints("1\tnil\tx\n", "1, nil, 'x'\n")
    prints("nil\n", "nil\n")
    prints("", "x = 1\n\n-- nothing\n")
    prints("3\n", "return 3\n")
    prints("a\nnil\n", "print 'a'\ny\n")
  end)

  it("prints what is in a plain table", function()
    prints("{}\n", "{}\n")
    prints('{1, "a\\n", {x = 1.5}, [0] = false, b = function}\n', "{1, 'a\\n', {x = 1.5}, [0] = false, b = print}\n")
    prints("{t = <cycle>}\n", "t = {} t.t = t\nt\n")
    prints('{1, 2, [0.5] = 3, a = {1}, b = {["end"] = 1, [true] = 2}}\n',
      "{1, 2, [0.5] = 3, b = {[true] = 2, ['end'] = 1}, a = {1}}\n")
    prints("{{{{{{{...}}}}}}}\n", "{{{{{{{{1}}}}}}}}\n")
    prints('{"\\t\\n\\xFF", "größe"}\n', "{'\\t\\n\\xFF', 'größe'}\n")
    prints("{[float32 2x3], {2, 3}}\n", "{peri.zeros(2, 3), peri.zeros(2, 3).shape}\n")
    prints("1.  1.\n[float32 2]\n2\n", "peri.ones(2), 2\n")
    prints("own\n", "setmetatable({}, {__tostring = function() return 'own' end})\n")
  end)

  it("continues what is unfinished", function()
    prints("1\n2\n", "for i = 1, 2 do\nprint(i)\nend\n")
    prints("3\n", "1 +\n2\n")
    prints("2\n", "#{1,\n2}\n")
    prints("a\nend b\n", "[[a\nend b]]\n")
    prints("", "--[[ a\n b ]]\n")
    local out, err = repl("x = {\n")
    assert.equal("", out)
    assert.matches("near <eof>", err)
  end)

  it("takes an = before an expression, as lua does", function()
    prints("3\n", "=1 + 2\n")
    prints("3\n4\n", "=3\n= 4\n")
    prints("5\n", "=2 +\n3\n")
  end)

  it("gives up what is unfinished at Ctrl-D, and leaves at a prompt", function()
    local lines, shown, reads = { "for i = 1, 2 do", nil, "x = 7", "print(x)", nil }, {}, 0
    local host = {
      interactive = true, columns = function() return 80 end, remember = function() end,
      read = function()
        reads = reads + 1
        return lines[reads]
      end,
      call = function(f, handler, ...) return xpcall(f, handler, ...) end,
      hint = function(text) return text end, error_object = tostring,
    }
    function host.load(name) return assert(loadfile("bindings/lua/" .. name:gsub("%.", "/") .. ".lua"))(host) end
    local silent = { write = function() end, flush = function() end }
    local env = setmetatable({ io = { stdout = silent, stderr = io.stderr } }, { __index = _G })
    local start = assert(loadfile("bindings/lua/program/repl.lua", "t", env))(host)
    local old, peri, help = print, rawget(_G, "peri"), rawget(_G, "help")
    _G.print = function(text) shown[#shown + 1] = text end
    local ok, message = pcall(start)
    _G.print, _G.peri, _G.help, _G.x = old, peri, help, nil
    assert(ok, message)
    assert.same({ 7 }, shown)
    assert.equal(5, reads)
  end)

  it("shows functions of the module by their signature, and peri without what is the tests' own", function()
    prints("function data.moons(n, {noise = 0, seed = 0, dtype = 'float32'}) -> X, y\n", "peri.data.moons\n")
    local out = repl "peri\n"
    assert.matches("abs = function", out)
    assert.is_nil(out:find "_fail_after")
  end)

  it("predefines peri and help", function()
    prints("table\tfunction\n", "type(peri), type(help)\n")
    prints("true\n", "peri == require 'perilune'\n")
  end)

  it("keeps top-level locals", function()
    prints("5\n6\n6\n", "local x = 5\nx\nx = x + 1 return x\nx\n")
    prints("nil\n", "local x = 5\n_G.x\n")
    prints("1\t2\tnil\n", "local a, b, c = 1, 2\na, b, c\n")
    prints("6\n", "local function f(n) return n < 2 and 1 or n * f(n - 1) end\nf(3)\n")
    prints("1\n1\n", "local x = 1 return x\nx\n")
    prints("nil\n", "do local hidden = 1 end if true then local hidden = 2 end\nhidden\n")
    prints("7\n", "local f = function()\n  local inner = 7\n  return inner\nend\nf()\n")
    prints("2\n", "local text = 'local a = 1 do' --[==[ local b ]==] local n = 0x1p+1 -- local c\nn // 1 | 0\n")
    prints("1\n", "local t <const> = {} t.x = 1\nt.x\n")
  end)

  it("gives closures and later lines one variable", function()
    behaves_as_script [[
local n = 0
local function up() n = n + 1 return n end
local _ = up()
n = n + 10
print(up(), n)
local n = 100
print(up(), n)
n = 200
print(up(), n)
local n = n + 1
print(n)
local get, set do local hidden = 1
  function get() return hidden end
  function set(v) hidden = v end end
set(5) print(get())
local a, b = 1, 2 a, b = b, a
print(a, b)
for i = 1, 2 do local n = n + i print(n) end
print(n)
local function first() return second and second() end
local function second() return 2 end
print(first())
]]
  end)

  it("honours attributes", function()
    local out, err = repl("local c <const> = 7\nc\nc = 8\nlocal d <const> = tostring(c)\nd = 1\nd\n" ..
      "local c = 1 c = 2 return c\n")
    assert.equal("7\n7\n2\n", out)
    assert.equal("stdin:1: attempt to assign to const variable 'c'\n" ..
      "stdin:1: attempt to assign to const variable 'd'\n", err)
    behaves_as_script [[
local function closing(name)
  return setmetatable({name = name}, {__close = function(v) print("close " .. v.name) end})
end
local one <close> = closing "one"
local two <close> = closing "two"
print(one.name, two.name)
do local three <close> = closing "three" end
print "end"
]]
    assert.matches("variable 'x' got a non%-closable value", (select(2, repl("local x <close> = 4\n"))))
  end)

  it("keeps a local environment", function()
    prints("5\nnil\n", "local say, _ENV = print, {v = 5}\nsay(v)\nsay(string)\n")
  end)

  it("leaves a chunk alone whose goto ends after its locals", function()
    prints("on\n", "goto done; local x = 1; ::done::\nprint 'on'\n")
  end)

  it("reports errors and goes on", function()
    local out, err = repl("local t = {1}\nt.x.y = 1\nerror({})\nnot valid )\nerror 'a'\nt[1]\n")
    assert.equal("1\n", out)
    assert.matches("^stdin:1: attempt to index a nil value %(field 'x'%)\nstack traceback:\n" ..
      "\tstdin:1: in main chunk\n", err)
    assert.matches("error object is a table value: {", err)
    assert.matches("did you mean peri%.tensor%?", (select(2, repl "peri.tensr(2)\n")))
    assert.matches("did you mean peri%.nn%.Linear%?", (select(2, repl "local nn = peri.nn\nnn.Linaer(2)\n")))
    assert.matches("unexpected symbol near 'not'", err)
    assert.is_nil(err:find("[program", 1, true))
  end)

  it("survives values that cannot be printed, and deep recursion", function()
    local out, err = repl("setmetatable({}, {__tostring = function() error 'no' end})\n" ..
      "local function f() return 1 + f() end f()\n1\n")
    assert.equal("1\n", out)
    assert.matches("stack overflow", err)
  end)

  it("runs a script first", function()
    local out = run({"-i", "-e", "x = 4"}, "x\n")
    assert.equal("4\n", out)
  end)
end)

describe("a command of the REPL #program", function()
  local names = {}
  for name in repl(":help\n"):match("Commands:\n(.*)"):gmatch "  :(%a+)[^\n]*\n" do
    names[#names + 1] = name
  end

  it("is a line that no Lua begins with", function()
    assert.is_true(#names >= 3)
    for _, name in ipairs(names) do
      for _, rest in ipairs { "", " x", "(x)", " = 1" } do
        assert.is_nil(load(":" .. name .. rest), name)
        assert.is_nil(load("return :" .. name .. rest), name)
      end
    end
    prints("1.5\n", ".5 + 1\n")
    prints("1\n", "::l:: print(1)\n")
  end)

  it("stands in help(), and has a help of its own", function()
    local all = repl "help()\n"
    assert.equal(all, (repl ":help\n"))
    assert.matches("^Perilune .*\nCommands:\n", all)
    for line in all:gmatch "[^\n]+" do assert.is_true(#line <= 80, line) end
    for _, name in ipairs(names) do
      local text = repl((":help :%s\n"):format(name))
      assert.matches("^:" .. name .. "[^\n]*\n%u[^\n]*%.\n$", text)
      assert.equal(text, (repl(("help ':%s'\n"):format(name))))
      assert.equal(text, (repl((":help %s\n"):format(name))))
    end
    assert.matches("^matmul%(a, b", (repl ":help matmul\n"))
    assert.equal((repl "help 'nn.Linear'\n"), (repl "  :help   nn.Linear  \n"))
  end)

  it("time runs code as the line itself would, and says how long it took", function()
    local function timed(text) return (repl(text):gsub("time: %d+%.?%d* [mun]?s\n", "T\n"):gsub("e[+-]%d+", "")) end
    assert.equal("T\n3\tnil\n", timed ":time 1 + 2, nil\n")
    assert.equal("a\nT\n", timed ":time print 'a'\n")
    assert.equal("T\n7\n", timed ":time local z = 7\nz\n")
    assert.equal("1\n2\nT\n", timed ":time for i = 1, 2 do\nprint(i)\nend\n")
    local out, err = repl ":time error 'boo'\n1\n"
    assert.same({ "1\n", "stdin:1: boo\nstack traceback:\n\t[C]: in function 'error'\n\tstdin:1: in main chunk\n" },
      { out, err })
    out, err = repl ":time (\n)\n1\n"
    assert.equal("1\n", out)
    assert.matches("^stdin:2: unexpected symbol", err)
  end)

  it("quit ends the session, and what it was to close is closed", function()
    local closing = "local x <close> = setmetatable({}, {__close = function() print 'closed' end})\n"
    prints("closed\n", closing .. ":quit\nprint 1\n")
  end)

  it("is refused when it is none, or its argument is none, and the session goes on", function()
    for line, expected in pairs {
      [":tiem 1"] = ":tiem: there is no such command (:help lists them): did you mean :time?\n",
      [":time"] = ":time: the argument is missing (expected :time CODE)\n",
      [":quit 3"] = ":quit: too many arguments: 3 was not expected\n",
      [".quit"] = "commands begin with a colon: :quit\n",
    } do
      assert.same({ "5\n", expected }, { repl(line .. "\n5\n") })
    end
    local _, err = repl "x = 1 +\n:quit\n"
    assert.matches("unexpected symbol near ':'", err) -- it continues the line before
  end)
end)

describe("completion in the REPL", function()
  local complete = assert(loadfile("bindings/lua/program/complete.lua"))()
  local held = setmetatable({alpha = 1, alpine = print, [1] = {beta = 2}}, {__index = {gamma = print}})
  local session = {variables = {held = {holder = function() return held end}}}
  local function completes(line) return complete(session, line, 80) end

  it("inserts what is common and then shows the choices", function()
    assert.same({"p", nil}, {completes "held.al"})
    assert.same({nil, "alpha   alpine\n"}, {completes "held.alp"})
    assert.same({"a", nil}, {completes "x = 1 + held.alph"})
  end)

  it("follows fields, indices and metatables", function()
    assert.equal("eta", (completes "held[1].b"))
    assert.equal("amma", (completes "f(held.g"))
    assert.equal("ine", (completes "held:alp"))
    assert.equal("rse", (completes "string.reve"))
    assert.equal("rse", (completes "('x'):rep(2) .. string.reve"))
  end)

  it("offers all parts of the module, and loads none but those that are meant", function()
    local code = [[
local complete = assert(loadfile("bindings/lua/program/complete.lua"))()
peri = require "perilune"
local session = {variables = {}}
print(complete(session, "peri.metr", 80))
print(rawget(peri, "metrics") ~= nil, rawget(peri, "plot"), rawget(peri, "nn"))
local _, all = complete(session, "peri.", 80)
for _, part in ipairs {"nn", "optim", "data", "svm", "train", "metrics", "select", "plot", "run", "script", "report"} do
  assert((" " .. all):find("%s" .. part .. "%s"), part)
end
assert(not all:find("_fail", 1, true) and not all:find("__", 1, true))
print "all"]]
    assert.same({"ics\tnil\ntrue\tnil\tnil\nall\n", "", 0}, {run {"-e", code}})
  end)

  it("offers locals, globals and keywords", function()
    assert.equal("ld", (completes "he"))
    assert.equal("metatable", (completes "set"))
    assert.equal("ction", (completes "x = fun"))
  end)

  it("offers methods of userdata, through functions too", function()
    session.variables.file = {holder = function() return io.stdout end}
    assert.equal("vbuf", (completes "file:set"))
    local peri = require "perilune"
    session.variables.t = {holder = function() return peri.ones(2) end}
    assert.equal("ul", (completes "t:matm"))
  end)

  it("offers the module's parts, loaded or not, and nothing that is the tests' own", function()
    local peri = require "perilune"
    session.variables.peri = { holder = function() return peri end }
    assert.equal("im", (completes "peri.opt"))
    assert.equal("t", (completes "peri.plo"))
    assert.equal("n", (completes "peri.trai"))
    assert.equal("ics", (completes "peri.metr"))
    local _, choices = completes "peri."
    for part in ("data optim svm train metrics plot run script report nn select"):gmatch "%a+" do
      assert.matches("%f[%w_]" .. part .. "%f[^%w_]", choices)
    end
    assert.is_nil(choices:find "_fail_after")
    assert.same({ nil, nil }, { completes "peri._" })
    assert.same({ nil, nil }, { completes "peri:optim" })
    assert.equal("cles", (completes "peri.data.cir"))
  end)

  it("offers commands where a line may be one, and the files that they take", function()
    local names = { ":help", ":quit", ":time", ":trace", ":save" }
    session.commands = { names = function() return names end, takes_file = function(name) return name == ":save" end }
    assert.same({ "elp", nil }, { completes ":h" })
    assert.same({ nil, "time   trace\n" }, { completes "  :t" })
    assert.same({ nil, "help   quit   save   time   trace\n" }, { completes ":" })
    assert.same({ nil, nil }, { completes ":x" })
    assert.equal("ne", (completes ":time held.alpi"))
    assert.equal("ts.txt", (completes ":save CMakeLis"))
    assert.same({ "uit", nil }, { completes ":q" })
    session.continued = true
    assert.same({ nil, nil }, { completes ":q" })
    session.commands, session.continued = nil, nil
  end)

  it("offers options of the function whose braces are open", function()
    local peri = require "perilune"
    session.variables.peri = { holder = function() return peri end }
    session.variables.fig = { holder = function() return peri.plot.figure {} end }
    assert.equal("ernel = ", (completes "peri.svm.SVC{k"))
    assert.equal("amma = ", (completes "m = peri.svm.SVC{C = f(1), g"))
    assert.equal("ns = ", (completes "fig:histogram({1, 2}, {bi"))
    assert.matches("^svm%.SVC{kernel", (select(2, completes "peri.svm.SVC{zzz")))
    assert.equal("lse", (completes "peri.svm.SVC{shrinking = fa"))
  end)

  it("offers files in strings, and modules in that of require", function()
    assert.equal("ts.txt", (completes 'io.open("CMakeLis'))
    assert.equal("gs/", (completes "x = 'bindin"))
    assert.equal("core/", select(2, completes "io.open 'bindings/"):match "core/")
    assert.equal("une", (completes 'require "peril'))
    assert.same({ nil, nil }, { completes "-- held.al" })
    assert.same({ nil, nil }, { completes "'zzz" })
  end)

  it("shows how a function is called when it is asked twice", function()
    local peri = require "perilune"
    session.variables.peri = { holder = function() return peri end }
    assert.same({ nil, "matmul(a, b, {transpose_a = false, transpose_b = false}) -> tensor\n" },
      { completes "peri.matmul(" })
    local _, first = completes "peri.nn.Conv"
    local _, second = completes "peri.nn.Conv"
    assert.matches("^Conv1d +Conv2d", first)
    assert.matches("^Conv1d%(in_channels.*\nConv2d%(in_channels", second)
    for line in second:gmatch "[^\n]+" do assert.is_true(#line <= 80) end
  end)

  it("is silent where nothing fits", function()
    for _, line in ipairs {"", "1.", "held.zzz", "nothing.here.", "held[2].", "a..", "held:alpha"} do
      assert.same({nil, nil}, {completes(line)})
    end
  end)
end)

describe("the end of the input in the REPL", function()
  -- The loop with lines that stand for what is typed: nil is Ctrl-D, false Ctrl-C.
  local function types(interactive, ...)
    local lines, i, prompts = table.pack(...), 0, {}
    local host = {interactive = interactive, remember = function() end, columns = function() return 80 end}
    function host.load(name) return assert(loadfile("bindings/lua/" .. name:gsub("%.", "/") .. ".lua"))(host) end
    host.hint, host.error_object = function(text) return text end, tostring
    function host.call(f, handler, ...) return xpcall(f, handler, ...) end
    function host.read(prompt)
      i = i + 1
      prompts[i] = prompt
      return lines[i]
    end
    local out, err, stdout, stderr = {}, {}, io.stdout, io.stderr
    rawset(io, "stdout", {write = function(_, ...) out[#out + 1] = table.concat {...} end, flush = function() end})
    rawset(io, "stderr", {write = function(_, ...) err[#err + 1] = table.concat {...} end})
    local peri, help = rawget(_G, "peri"), rawget(_G, "help")
    local ok, message = pcall(assert(loadfile("bindings/lua/program/repl.lua"))(host))
    rawset(io, "stdout", stdout)
    rawset(io, "stderr", stderr)
    rawset(_G, "peri", peri)
    rawset(_G, "help", help)
    assert(ok, message)
    return table.concat(out), table.concat(err), prompts
  end

  it("gives up what was begun, and ends the session where nothing was", function()
    local out, err, prompts = types(true, "x = 42", "for i = 1, 2 do", nil, "x", nil)
    assert.matches("42\n$", out)
    assert.same({"", {"> ", "> ", ".. ", "> ", "> "}}, {err, prompts})
    out, err, prompts = types(true, "y = 1", "if y then", false, "y", nil)
    assert.matches("1\n$", out)
    assert.same({"", 5}, {err, #prompts})
  end)

  it("of a file that breaks off is an error", function()
    local _, err, prompts = types(false, "if true then", nil)
    assert.matches("'end' expected near <eof>\n$", err)
    assert.equal(2, #prompts)
  end)
end)
