-- The kernel of a notebook, asked by Debian's python3-jupyter-client (support/notebook.py): every kind of message.
local json = require "support.internal".json

local BUILD = os.getenv "PERILUNE_BUILD_DIR" or "build"
local PYTHON = "/usr/bin/python3"

local function there(command) return (os.execute(command .. " >/dev/null 2>&1")) == true end

local MISSING = not there(PYTHON .. " -c 'import jupyter_client'") and "python3-jupyter-client is not installed" or
  not there("test -e " .. BUILD .. "/libperilune_kernel.so") and "built without the kernel (libzmq3-dev, nettle-dev)"

-- What came of each step, in one session with one kernel.
local function session(steps)
  local input, lines, answers = os.tmpname(), {}, {}
  for i, step in ipairs(steps) do lines[i] = json.write("notebook", step) .. "\n" end
  local file = assert(io.open(input, "wb"))
  file:write(table.concat(lines))
  file:close()
  local command = "env -u LUA_INIT %s tests/spec/support/notebook.py '%s/perilune' <%s 2>%s.err"
  local pipe = assert(io.popen(command:format(PYTHON, BUILD, input, input)))
  for line in pipe:lines() do answers[#answers + 1] = assert(json.read(line)) end
  local ok = pipe:close()
  local errors <close> = assert(io.open(input .. ".err"))
  assert.is_true(ok, errors:read "a")
  os.remove(input)
  os.remove(input .. ".err")
  return answers
end

local function run(code, more)
  local step = { request = "execute_request", content = { code = code, allow_stdin = true } }
  for name, value in pairs(more or {}) do step[name] = value end
  return step
end

local function ask(kind, content, channel)
  return { request = kind .. "_request", content = content or { detail_level = 0 }, channel = channel }
end

-- The contents of what was published of a kind.
local function published(answer, kind)
  local list = {}
  for _, entry in ipairs(answer.published) do if entry[1] == kind then list[#list + 1] = entry[2] end end
  return list
end

local function streams(answer)
  local list = {}
  for i, content in ipairs(published(answer, "stream")) do list[i] = content.name .. ": " .. content.text end
  return list
end

local function result(answer) return (published(answer, "execute_result")[1] or { data = {} }).data end

describe("the kernel of a notebook #program #kernel", function()
  if MISSING then
    it("is tested", function() pending(MISSING) end)
    return
  end

  it("answers every kind of request, each between busy and idle", function()
    local steps = {
      ask "kernel_info", ask("complete", { code = "pr", cursor_pos = 2 }),
      ask("inspect", { code = "peri.matmul", cursor_pos = 8 }), ask("is_complete", { code = "x" }),
      ask("history", { hist_access_type = "tail", n = 3 }), ask "comm_info", run "1",
      { request = "comm_open", content = { comm_id = "a", target_name = "none", data = {} } },
      ask("nonsense", { x = 1 }), ask("interrupt", { x = 1 }, "control"), ask("kernel_info", { x = 1 }, "control"),
      ask("debug", { x = 1 }, "control"),
    }
    local answers = session(steps)
    for i, step in ipairs(steps) do
      local answer = answers[i]
      local states = published(answer, "status")
      assert.same({ "busy", "idle" }, { states[1].execution_state, states[2].execution_state }, step.request)
      assert.equal("status", answer.published[1][1])
      assert.equal("status", answer.published[#answer.published][1])
      if step.request:find "_request$" then
        assert.equal((step.request:gsub("_request$", "_reply")), answer.reply.msg_type)
        local known = not step.request:find "nonsense" and not step.request:find "debug"
        if step.request ~= "is_complete_request" then
          assert.equal(known and "ok" or "error", answer.reply.status, step.request)
        end
      end
    end
    assert.same({ "5.3", "lua", "perilune" }, { answers[1].reply.protocol_version, answers[1].reply.language_info.name,
      answers[1].reply.implementation })
    assert.equal("comm_close", answers[8].published[2][1])
    assert.equal("5.3", answers[11].reply.protocol_version)
    assert.is_false(answers[#answers].alive) -- shut down
  end)

  it("executes cells: streams in order, values, what is silent", function()
    local a = session {
      run "io.write 'a' io.stderr:write 'b\\n' print 'c'\nlocal x = 4\nx + 1",
      run "x, 'two'", run "x;", run "y = 2", run "print(x)",
      run("", { content = { code = "z = 9 return z", silent = true } }), run "z", run ":time x\n",
      run "w = 1\n?w", run "peri.tensor{{1.5, 2}, {3, 4}}", run "peri.arange(1, 100)",
      run "peri.metrics.confusion_matrix(peri.tensor{1, 2, 2}, peri.tensor{1, 2, 1})",
      run "peri.plot.figure():line{1, 2, 4}", run "_ ~= nil",
      run("", { content = { code = "1", user_expressions = { e = "x * 2", f = "nope.x" } } }),
      run "'größe \\xff'", run "x = = 1", run "for i = 1, 2 do", run "peri.ones(2, 3):mm(peri.ones(2, 3))", run "3",
      run "local s = ('%d')\n  :format(3)\nlocal t = 4", run "s, t", run "x = 1\n:who\nerror('boo', 0)\nx = 2", run "x",
    }
    assert.same({ "stdout: a", "stderr: b\n", "stdout: c\n" }, streams(a[1]))
    assert.equal("5", result(a[1])["text/plain"])
    assert.same({ 1, 1 }, { a[1].reply.execution_count, published(a[1], "execute_input")[1].execution_count })
    assert.equal("4\ttwo", result(a[2])["text/plain"])
    assert.same({ {}, {}, {} }, { result(a[3]), result(a[4]), result(a[5]) })
    assert.same({ "stdout: 4\n" }, streams(a[5]))
    assert.same({ 5, {}, {} }, { a[6].reply.execution_count, published(a[6], "execute_input"), result(a[6]) })
    assert.same({ 6, "9" }, { a[7].reply.execution_count, result(a[7])["text/plain"] })
    assert.matches("^stdout: time: ", streams(a[8])[1])
    assert.same({ "stdout: w is the number 1\n" }, streams(a[9]))
    assert.equal("<table><tr><td>1.5</td><td>2</td></tr><tr><td>3</td><td>4</td></tr></table>" ..
      "<p><small>float32 2x2</small></p>", result(a[10])["text/html"])
    assert.matches("<td>…</td>", result(a[11])["text/html"])
    assert.matches("<tr><th>true \\ pred</th><th>1</th><th>2</th></tr><tr><th>1</th><td>1</td><td>1</td></tr>",
      result(a[12])["text/html"])
    assert.matches("^<svg.-<circle id='p1%-gpDot'", result(a[13])["image/svg+xml"])
    assert.matches("^iVBORw0KGgo", result(a[13])["image/png"])
    assert.equal("true", result(a[14])["text/plain"])
    local expressions = a[15].reply.user_expressions
    assert.same({ "8", "error" }, { expressions.e.data["text/plain"], expressions.f.status })
    assert.equal("größe \u{FFFD}", result(a[16])["text/plain"])
    local wrong = published(a[17], "error")[1]
    assert.matches("unexpected symbol near '='", wrong.evalue)
    assert.matches("x = = 1", table.concat(wrong.traceback, "\n"))
    assert.matches("'end' expected near <eof>", published(a[18], "error")[1].evalue)
    assert.matches("^%[%d+%]:1: mm: a is 2x3 but b is 2x3", published(a[19], "error")[1].evalue)
    assert.falsy(table.concat(published(a[19], "error")[1].traceback, "\n"):find("perilune/", 1, true))
    assert.equal("3", result(a[20])["text/plain"])
    assert.equal("3\t4", result(a[22])["text/plain"])
    assert.equal("boo", published(a[23], "error")[1].evalue)
  end)

  it("lets errors, memory and stacks that run out be errors of a cell, and does not run those that wait", function()
    local a = session {
      run "x = 7", run "error({code = 3})", run "local function f() return 1 + f() end f()",
      run "s = ('x'):rep(1 << 40)",
      run "peri.zeros(1 << 40)",
      -- those behind it are there when the line is
      run("error(io.read(), 0)", { input = { "first" }, also = { run "x = 8", ask("is_complete", { code = "1" }) } }),
      run "x",
      run("", { content = { code = "error(io.read(), 0)", allow_stdin = true, stop_on_error = false },
        input = { "second" }, also = { run "x = 9" } }),
      run "x",
    }
    for _, i in ipairs { 2, 3, 4, 5 } do assert.equal("error", a[i].reply.status) end
    assert.matches("error object is a table value: {code = 3}", a[2].reply.evalue)
    assert.matches("stack overflow", a[3].reply.evalue)
    assert.matches("memory", a[4].reply.evalue .. a[5].reply.evalue)
    local replies = a[6].reply
    assert.same({ "error", "aborted", "complete" }, { replies[1].status, replies[2].status, replies[3].status })
    assert.equal("7", result(a[7])["text/plain"])
    assert.same({ "error", "ok" }, { a[8].reply[1].status, a[8].reply[2].status })
    assert.equal("9", result(a[9])["text/plain"])
  end)

  it("completes, inspects, and tells what is complete", function()
    local a = session {
      ask("complete", { code = "größe = peri.linsp", cursor_pos = 18 }),
      ask("complete", { code = "peri.svm.SVC{ke", cursor_pos = 15 }),
      ask("complete", { code = "for i = 1, 2 do\n  pri\nend", cursor_pos = 21 }),
      ask("inspect", { code = "y = peri.matmul(a, b)", cursor_pos = 12 }),
      ask("inspect", { code = "peri.matmul(", cursor_pos = 12 }),
      ask("inspect", { code = "nothing_here", cursor_pos = 3 }), ask("is_complete", { code = "for i = 1, 2 do" }),
      ask("is_complete", { code = "x = = 1" }), ask("is_complete", { code = "x = 1" }),
      ask("is_complete", { code = ":who" }),
      run "first = 1", run "second = 2", ask("history", { hist_access_type = "tail", n = 1 }),
      ask("history", { hist_access_type = "search", pattern = "first*", n = 5 }),
      ask("history", { hist_access_type = "range", session = 0, start = 1, stop = 2 }),
    }
    assert.same({ { "linspace" }, 13, 18 }, { a[1].reply.matches, a[1].reply.cursor_start, a[1].reply.cursor_end })
    assert.same({ "kernel = " }, a[2].reply.matches)
    assert.same({ { "print" }, 18, 21 }, { a[3].reply.matches, a[3].reply.cursor_start, a[3].reply.cursor_end })
    assert.matches("^matmul%(a, b", a[4].reply.data["text/plain"])
    assert.matches("^matmul%(a, b", a[5].reply.data["text/plain"])
    assert.is_false(a[6].reply.found)
    assert.same({ "incomplete", "invalid", "complete", "complete" },
      { a[7].reply.status, a[8].reply.status, a[9].reply.status, a[10].reply.status })
    assert.same({ { 1, 2, "second = 2" } }, a[13].reply.history)
    assert.same({ { 1, 1, "first = 1" } }, a[14].reply.history)
    assert.same({ { 1, 1, "first = 1" } }, a[15].reply.history)
  end)

  it("is interrupted by the signal and by the message, in Lua and in C, and keeps what there is", function()
    local lua = "n = 0 print 'go' while true do n = n + 1 end"
    local c = "big = peri.ones(1, 1):expand(20000, 20000) print 'go' big:mm(big)"
    local steps = { run "kept = 5" }
    for _, code in ipairs { lua, c } do
      for _, by in ipairs { "signal", "message" } do
        steps[#steps + 1] = run(code, { interrupt_at = "go", interrupt_by = by })
      end
    end
    steps[#steps + 1] = run "kept, n > 0"
    local a = session(steps)
    for i = 2, 5 do assert.same({ "error", "interrupted!" }, { a[i].reply.status, a[i].reply.evalue }) end
    assert.equal("5\ttrue", result(a[6])["text/plain"])
  end)

  it("asks for lines, where it may", function()
    local a = session {
      run("io.write 'name? ' n = io.read()\nn", { input = { "größe" } }),
      run("a, b = io.read('n', 'l')\na, b", { input = { "12 rest" } }),
      run("n", { content = { code = "n = io.read()\nn", allow_stdin = false } }),
    }
    assert.equal("größe", result(a[1])["text/plain"])
    assert.same({ prompt = "", password = false }, published(a[1], "input_request")[1])
    assert.equal("12\t rest", result(a[2])["text/plain"])
    assert.equal("nil", result(a[3])["text/plain"])
  end)

  it("shows things in place: display, updates, clearing, progress, live plots", function()
    local a = session {
      run "d = display('one')", run "d:update{1, 2};", run "peri.interactive.clear_output(true)",
      run "peri.plot.figure{width = 90, height = 90}:line{1, 2}:show();",
      run [[X, y = peri.data.moons(60)
net = peri.nn.Sequential(peri.nn.Linear(2, 8), peri.nn.ReLU(), peri.nn.Linear(8, 2))
opt = peri.optim.SGD(net:parameters(), {lr = 0.1})
peri.train.fit{model = net, optimizer = opt, train = {X, y}, epochs = 3}; ]],
      run [[peri.train.fit{model = net, optimizer = opt, train = {X, y}, epochs = 3, progress = false,
  callbacks = peri.interactive.follow{width = 90, height = 90}}; ]],
    }
    local shown = published(a[1], "display_data")[1]
    assert.equal("one", shown.data["text/plain"])
    local update = published(a[2], "update_display_data")[1]
    assert.same({ "{1, 2}", shown.transient.display_id }, { update.data["text/plain"], update.transient.display_id })
    assert.same({ wait = true }, published(a[3], "clear_output")[1])
    assert.matches("<svg", published(a[4], "display_data")[1].data["image/svg+xml"])
    local line, lines = published(a[5], "display_data"), published(a[5], "update_display_data")
    assert.equal(1, #line)
    assert.matches("epoch 3/3 ", lines[#lines].data["text/plain"])
    assert.equal(line[1].transient.display_id, lines[#lines].transient.display_id)
    local plots = published(a[6], "update_display_data")
    assert.matches("<svg", plots[#plots].data["image/svg+xml"])
  end)

  it("takes no message that is not signed, and begins anew when it is restarted", function()
    local a = session { run "x = 1", { raw = true }, run "x", { restart = true }, run "x" }
    assert.is_true(a[2].alive)
    assert.equal("1", result(a[3])["text/plain"])
    assert.is_true(a[4].alive)
    assert.equal("nil", result(a[5])["text/plain"])
    assert.equal(1, a[5].reply.execution_count)
  end)
end)

local program = require "support.program"
local process = require "support.internal".process

local function contents(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

describe("perilune notebook #program", function()
  it("makes text of comments that begin a line, and code of what is between", function()
    local path = os.tmpname()
    local file <close> = assert(io.open(path, "wb"))
    file:write [==[
#!/usr/bin/env perilune
-- What it is,
-- in two lines.

local x = [[
-- no comment
]]
-- nor a cell

-- ---- part two ----

-- About 50%.
local function f()
  -- inside
  return "a\tb"
end

-- the end
]==]
    file:flush()
    local out, err, status = program { "notebook", path }
    assert.same({ "", 0 }, { err, status })
    local notebook = assert(json.read((out:gsub("null", "0"))))
    local cells = {}
    for i, cell in ipairs(notebook.cells) do cells[i] = cell.cell_type:sub(1, 1) .. ":" .. table.concat(cell.source) end
    assert.same({
      "m:# " .. path:match "[^/]+$":gsub("_", " "):gsub("^%l", string.upper) .. "\n\nWhat it is,\nin two lines.",
      "c:local x = [[\n-- no comment\n]]\n-- nor a cell", "m:## Part two", "m:About 50%.",
      'c:local function f()\n  -- inside\n  return "a\\tb"\nend', "m:the end",
    }, cells)
    assert.same({ 4, 4, "perilune" }, { notebook.nbformat, notebook.nbformat_minor, notebook.metadata.kernelspec.name })
    os.remove(path)
    assert.matches("^perilune notebook: .*No such file", (select(2, program { "notebook", path })))
    assert.equal(1, (select(3, program { "notebook", "CMakeLists.txt" })))
  end)

  for _, name in ipairs { "circle", "conv" } do
    it(("has made docs/notebooks/%s.ipynb"):format(name), function()
      local out = program { "notebook", ("scripts/%s.lua"):format(name) }
      assert.is_true(out == contents(("docs/notebooks/%s.ipynb"):format(name)), "not up to date: ./dev docs")
    end)
  end
end)

describe("perilune kernel #program #kernel", function()
  it("install writes the description where Jupyter looks", function()
    local folder = os.tmpname()
    os.remove(folder)
    local out, err, status = program { "kernel", "install", "--prefix", folder }
    local place = folder .. "/share/jupyter/kernels/perilune"
    assert.same({ place .. "\n", "", 0 }, { out, err, status })
    local spec = assert(json.read(contents(place .. "/kernel.json")))
    assert.same({ "kernel", "{connection_file}", "lua", "signal" },
      { spec.argv[2], spec.argv[3], spec.language, spec.interrupt_mode })
    assert.matches("/perilune$", spec.argv[1])
    out = program({ "kernel", "install", "--user" }, nil, "HOME=" .. folder, "JUPYTER_DATA_DIR=", "XDG_DATA_HOME=")
    assert.equal(folder .. "/.local/share/jupyter/kernels/perilune\n", out)
    for _, words in ipairs { { "kernel" }, { "kernel", "a", "b" }, { "kernel", "install", "--nope" },
                             { "kernel", "/none" }, { "kernel", "install", "--prefix" } } do
      out, err, status = program(words)
      assert.same({ "", 1 }, { out, status }, table.concat(words, " "))
      assert.matches("^perilune", err)
    end
    process.run { argv = { "rm", "-r", folder } }
  end)

  it("runs a notebook of a script under nbconvert", function()
    if MISSING then return pending(MISSING) end
    if not there "jupyter nbconvert --version" then return pending "jupyter nbconvert is not installed" end
    local folder = os.tmpname()
    os.remove(folder)
    assert(process.mkdir(folder))
    local file = assert(io.open(folder .. "/small.lua", "wb"))
    file:write("-- A sum.\nlocal peri = require 'perilune'\nprint('so far')\n\n-- A picture.\n",
      "peri.plot.figure():line{1, 2}:show()\n")
    file:close()
    file = assert(io.open(folder .. "/small.ipynb", "wb"))
    file:write((program { "notebook", folder .. "/small.lua" }))
    file:close()
    program { "kernel", "install", "--prefix", folder }
    local command = "cd %s && env -u LUA_INIT JUPYTER_PATH=%s/share/jupyter HOME=%s " ..
      "jupyter nbconvert --to html --execute small.ipynb 2>&1"
    local pipe = assert(io.popen(command:format(folder, folder, folder)))
    local said, ok = pipe:read "a", pipe:close()
    assert.is_true(ok, said)
    local html = contents(folder .. "/small.html")
    assert.matches("so far", html)
    assert.matches('<img src="data:image/svg%+xml;base64,', html)
    process.run { argv = { "rm", "-r", folder } }
  end)
end)

describe("perilune new #program", function()
  it("begins an experiment that runs, and whose test passes", function()
    local folder = os.tmpname()
    os.remove(folder)
    assert(process.mkdir(folder))
    local pipe <close> = assert(io.popen "pwd")
    local path = (BUILD:sub(1, 1) == "/" and "" or pipe:read "l" .. "/") .. BUILD .. "/perilune"
    local function shell(words)
      local ran <close> = assert(io.popen(("cd %s && env -u LUA_INIT %s %s 2>&1"):format(folder, path, words)))
      return ran:read "a"
    end
    assert.matches("^rings/rings.lua, model.lua, test.lua and README.md", shell "new rings")
    folder = folder .. "/rings"
    assert.equal("2 checks passed\n", shell "test.lua")
    assert.matches("^accuracy on the test points: [01]%.%d+\npictures: out/rings\n$", shell "rings.lua --quick")
    assert.equal("out/rings/index.html\n", shell "watch out/rings")
    folder = folder:match "^(.*)/"
    assert.matches("^perilune new: rings is there already", shell "new rings")
    assert.matches("cannot be the name of a script", shell "new ../a")
    assert.matches("a name is missing", shell "new")
    process.run { argv = { "rm", "-r", folder } }
  end)
end)
