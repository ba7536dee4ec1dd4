-- What the commands of the prompt do, as functions and as commands.
local run = require "support.program"
local scratch = require "support.scratch"
local peri = require "perilune"
local interactive = peri.interactive

local function repl(text, ...)
  local out, err, status = run({ "-i" }, text, ...)
  assert.equal(0, status)
  return out, err
end

describe("peri.interactive", function()
  it("text shows values as the prompt does", function()
    assert.equal('{1, "a", b = {}}', interactive.text { 1, "a", b = {} })
    assert.equal("{\n  1, 2,\n  3,\n}", interactive.text({ 1, 2, 3 }, { width = 8 }))
  end)

  it("bench says how long calls take, and what one allocates", function()
    local calls = 0
    local bench = interactive.bench(function() calls = calls + 1 return peri.zeros(1000):add(1) end, { seconds = 0.01 })
    assert.is_true(bench.low <= bench.median and bench.median <= bench.high)
    assert.is_true(bench.samples >= 1 and bench.calls >= 1 and calls > bench.calls)
    assert.is_true(bench.bytes >= 8000 and bench.bytes < 20000, bench.bytes)
    assert.matches("per call", tostring(bench))
    assert.equal("boo", select(2, pcall(interactive.bench, function() error("boo", 0) end)))
    assert.is_true(collectgarbage "isrunning")
  end)

  it("time gives seconds and what the function gives", function()
    local seconds, a, b = interactive.time(function(x) return x, nil end, 4)
    assert.is_true(seconds >= 0)
    assert.same({ 4, nil }, { a, b })
    assert.same({ "1 ms", "999 us", "12.3 s", "5 ns" }, { interactive.seconds(0.001), interactive.seconds(999.4e-6),
      interactive.seconds(12.34), interactive.seconds(5e-9) })
  end)

  it("who lists tensors, models and machines", function()
    local who = interactive.who { x = peri.zeros(2, 3), net = peri.nn.Linear(2, 3), m = peri.svm.SVC(), n = 4 }
    assert.same({ "m", "net", "x" }, { who[1].name, who[2].name, who[3].name })
    assert.same({ 36, 24 }, { who[2].bytes, who[3].bytes })
    assert.same({ "machine", "model", "tensor" }, { who[1].kind, who[2].kind, who[3].kind })
    assert.matches("x +tensor +2x3 +float32 +24 B", tostring(who))
  end)

  it("save and load keep tensors and plain data, and say what they leave", function()
    local path, x = scratch(), peri.randn(3)
    local plain = { 1, 2.5, { a = "b" } }
    local left = interactive.save(path, { x = x, n = 1 / 0, t = plain, f = print, net = peri.nn.ReLU() })
    assert.same({ "f", "net" }, left)
    local back = interactive.load(path)
    assert.is_true(back.x:equal(x))
    back.x = nil
    assert.same({ n = 1 / 0, t = { 1, 2.5, { a = "b" } } }, back)
    peri.save(path, { x = x })
    assert.matches("holds no workspace", select(2, pcall(interactive.load, path)))
    os.remove(path)
  end)

  it("apropos finds names and words", function()
    local text = interactive.apropos "Softmax"
    assert.matches("^  log_softmax +%S", text)
    assert.matches("nn%.Softmax", text)
    assert.matches("also stands in the documentation of:.*nn%.NLLLoss", text)
    for line in text:gmatch "[^\n]+" do assert.is_true(utf8.len(line) <= 80, line) end
    assert.matches("^nothing has the word", interactive.apropos "xyzzy")
  end)

  it("source shows a Lua function", function()
    local function f(x)
      return x + 1
    end
    local text = interactive.source(f)
    assert.matches("^%-%- .-interactive_spec%.lua:%d+\n    local function f%(x%)\n      return x %+ 1\n    end$", text)
    assert.matches("^matmul%(", interactive.source(peri.matmul))
  end)

  it("reload fills the old table of a module", function()
    local path = scratch() .. ".lua"
    local name, old_path = path:match "([^/]+)%.lua$", package.path
    package.path = path:match "^(.*)/" .. "/?.lua;" .. package.path
    local function write(text)
      local file <close> = assert(io.open(path, "wb"))
      file:write(text)
    end
    write "return { f = function() return 1 end, old = true }"
    local module = require(name)
    write "return { f = function() return 2 end }"
    assert.equal(module, interactive.reload(name))
    assert.same({ 2, nil }, { module.f(), module.old })
    write "return {"
    assert.is_false((pcall(interactive.reload, name)))
    assert.equal(module, package.loaded[name])
    assert.equal(2, module.f())
    package.loaded[name], package.path = nil, old_path
    os.remove(path)
    assert.is_false((pcall(interactive.reload, "perilune")))
  end)

  it("plot draws what a shape means", function()
    local function kinds(x)
      local list = {}
      for i, layer in ipairs(interactive.plot(x).layers) do list[i] = layer.kind end
      return table.concat(list, " ")
    end
    assert.equal("line", kinds { 1, 3, 2 })
    assert.equal("line", kinds(peri.ones(4)))
    assert.equal("line line", kinds(peri.ones(9, 2)))
    assert.equal("image", kinds(peri.rand(9, 9)))
    assert.equal("images", kinds(peri.rand(3, 5, 5)))
    assert.equal("images", kinds(peri.rand(3, 1, 5, 5)))
    assert.equal("histogram", kinds(peri.rand(2, 2, 2, 2)))
    local figure = peri.plot.figure()
    assert.equal(figure, interactive.plot(figure))
  end)

  it("set changes settings and gives them", function()
    local before = peri.get_printoptions().precision
    assert.equal(2, interactive.set("precision", 2).precision)
    assert.equal(2, peri.get_printoptions().precision)
    peri.set_printoptions { precision = before }
    local _, message = pcall(interactive.set, "thread", 1)
    assert.matches("name must be one of colours, .*did you mean threads", message)
    assert.matches("threads +%d+ +threads that compute", tostring(interactive.set()))
  end)

  it("display writes text where there is no notebook", function()
    local out = run({ "-e", [[local i = require "perilune".interactive
      i.display({ 1, 2 }):update "two" i.clear_output()]] })
    assert.equal("{1, 2}\ntwo\n", out)
  end)
end)

describe("commands of the prompt #program", function()
  it("keep the last values, and are silent after a semicolon", function()
    assert.same({ "3\n5\n3\t5\n", "" }, { repl "1 + 2\n5\n__, _\n7;\n" })
    assert.same({ "2\n", "" }, { repl "1 + 1;\n_\n" })
    assert.same({ "8\n", "" }, { repl "print(8);\n" })
  end)

  it("explain what is asked with a question mark", function()
    local matmul = repl "help(peri.matmul)\n"
    for _, line in ipairs { "?peri.matmul", "peri.matmul?", "?matmul", "  ? matmul " } do
      assert.same({ matmul, "" }, { repl(line .. "\n") })
    end
    assert.equal("x is the number 3\n", (repl "local x = 3\n?x\n"))
    assert.equal("f(a, ...), a function of stdin:1 (??f shows it)\n", (repl "local f = function(a, ...) end\nf?\n"))
    assert.equal("-- stdin:1\nfunction f(a)\n  return a\nend\n", (repl "function f(a)\n  return a\nend\n??f\n"))
    assert.matches("nn%.Softmax", (repl "apropos 'softmax'\n"))
  end)

  it("say which name was meant", function()
    local function said(text) return (select(2, repl(text)):match "^[^\n]*") end
    assert.matches("global 'pritn'%): did you mean print%?$", said "pritn(1)\n")
    assert.matches("global 'counte'%): did you mean counter%?$", said "local counter = {}\ncounte.x = 1\n")
    assert.matches("global 'xyzzy'%)$", said "xyzzy()\n")
  end)

  it("save, clear and load the variables", function()
    local path = scratch()
    local typed = "local x = peri.ones(2)\nn = {1, 'a'}\nf = print\n:save %s\n:clear\nx, n, f\n:load %s\nx, n\n"
    local out, err = repl(typed:format(path, path))
    assert.same({ "nil\tnil\tnil\nn x\n1.  1.\n[float32 2]\n{1, \"a\"}\n", "" }, { out, err })
    os.remove(path)
  end)

  it("write the session as a script that runs as it did", function()
    local path = scratch()
    local typed = "local a = 2\nfunction f(x)\n  return x * a\nend\nprint(f(3))\nis not lua\n:script %s\n"
    local out = repl(typed:format(path))
    assert.equal(("6\n3 inputs in %s\n"):format(path), out)
    assert.equal("6\n", (run({ path })))
    repl(("local a = 2\na + 1 -- three\n'x', a\na;\n:script %s\n"):format(path))
    assert.same({ "3\nx\t2\n", "", 0 }, { run { path } })
    os.remove(path)
  end)

  it("commands say what is wrong without a place in the program", function()
    assert.equal("load: nosuch.st: cannot be opened: No such file or directory\n", select(2, repl ":load nosuch.st\n"))
    assert.matches("^interactive.set: name must be one of ", select(2, repl ":set nothing 1\n"))
  end)

  it("edit runs what the editor leaves", function()
    local out, err = repl("x = 1\n:edit\nx\n", "EDITOR=sed -i s/1/41+1/", "VISUAL=sed -i s/1/41+1/")
    assert.same({ "x = 41+1\n42\n", "" }, { out, err })
    assert.matches("edit: false could not be run", select(2, repl("x = 1\n:edit\n", "VISUAL=false")))
  end)

  it("history lists what was typed, or what has a word", function()
    assert.equal("1\n    1  local one = 1\n    2  one\n", (repl "local one = 1\none\n:history\n"))
    assert.equal("    1  local one = 1\n", (repl "local one = 1\nlocal two = 2\n:history ONE\n"))
  end)

  it("bench, who, set and plot", function()
    assert.matches("per call .* allocated\n$", (repl ":bench 1 + 1\n"))
    assert.matches("x +tensor +2 +float32 +8 B\n", (repl "local x = peri.ones(2)\n:who\n"))
    assert.matches("\nthreads +1 ", (repl ":set threads 1\n:set\n"))
    assert.matches("the value is missing", select(2, repl ":set threads\n"))
    assert.matches("%*%*", (repl ":plot {1, 2, 4}\n"))
  end)
end)
