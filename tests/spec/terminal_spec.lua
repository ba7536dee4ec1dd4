-- The prompt on a terminal: what is remembered, pasted, drawn and coloured, and that Ctrl-C brings it back.
local terminal = require "support.terminal"
local process = require "support.internal".process

local function scratch_home()
  local home = os.tmpname()
  os.remove(home)
  assert(process.mkdir(home))
  return home
end

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

-- Types lines, each when the prompt is there, and leaves. Gives what was written, in a home of its own unless given.
local function session(lines, environment, raw)
  local steps = { { "wait", "> " } }
  for _, line in ipairs(lines) do
    if type(line) == "table" then
      steps[#steps + 1] = line
    else
      steps[#steps + 1] = { "type", line .. "\r" }
      steps[#steps + 1] = { "wait", "\n> " }
    end
  end
  steps[#steps + 1] = { "type", ":quit\r" }
  local home = environment and environment.HOME or scratch_home()
  local settings = { HOME = home, XDG_STATE_HOME = "" }
  for name, value in pairs(environment or {}) do settings[name] = value end
  local written, err, status = terminal(steps, settings, raw)
  assert.same({ "", 0 }, { err, status }, written)
  return written, home
end

local function history_of(home) return read(home .. "/.local/state/perilune/history") end

describe("the prompt on a terminal #program #terminal", function()
  it("keeps what was typed in a file that nobody else reads, an input of several lines as one", function()
    local up = "\27[A"
    local _, home = session { "x = 1", { "type", "for i = 1, 2 do\r" }, { "wait", ".. " },
      { "type", "print('<' .. i .. '>')\r" }, { "wait", ".. " }, { "type", "end\r" }, { "wait", "<2>" },
      { "wait", "> " } }
    assert.equal("x = 1\nfor i = 1, 2 do\\012print('<' .. i .. '>')\\012end\n:quit\n",
      (history_of(home):gsub("^_HiStOrY_V2_\n", ""):gsub("\\040", " ")))
    local _, mode = process.run { argv = { "stat", "-c", "%a", home .. "/.local/state/perilune/history" } }
    assert.equal("600\n", mode)
    -- in the next session, the loop comes back whole
    local written = session({ { "type", up .. up .. "\r" }, { "wait", "<1>" }, { "wait", "<2>" }, { "wait", "> " } },
      { HOME = home })
    assert.matches("<1>\n<2>\n", written)
  end)

  it("loses no line of two prompts that write to one history", function()
    local home = scratch_home()
    session({ "a = 1" }, { HOME = home })
    local other = "f = io.open('%s/.local/state/perilune/history', 'a') f:write('other\\n') f:close()"
    session({ "b = 2", other:format(home), "c = 3" }, { HOME = home })
    local text = history_of(home)
    for _, line in ipairs { "a\\040=\\0401", "b\\040=\\0402", "other", "c\\040=\\0403" } do
      assert.truthy(text:find("\n" .. line .. "\n", 1, true), line)
    end
  end)

  it("finds what was typed with Ctrl-R, and moves over UTF-8 by characters", function()
    local left = "\27[D"
    local written = session {
      "first = 'größe'", "second = 2", { "type", "\18grö" }, { "type", "\r" }, { "wait", "> " },
      { "type", "'日x本'" .. left .. left .. left .. "ü\r" }, { "wait", "日ü" }, { "wait", "\n> " }, "#first .. first",
    }
    assert.matches("\n日üx本\n", written)
    assert.matches("7größe\n", written)
  end)

  it("takes what is pasted as a script, or line by line as it would be typed", function()
    local function pasted(text) return { "type", "\27[200~" .. text .. "\27[201~\r" } end
    local written = session {
      pasted "local a = 1\nlocal function f(x)\n\treturn x + a\nend\nprint('<' .. f(2) .. '>')\n",
      { "wait", "<3>" }, { "wait", "> " }, pasted "y = 5\n'<' .. y .. '>'\nfor i = 1, 2 do\n  y = y + i\nend\n-y",
      { "wait", "-8" }, { "wait", "> " }, "f(1)",
    }
    assert.matches("\n<3>\n", written)
    assert.matches("\n<5>\n%-8\n", written)
    assert.matches("\n2\n", written)
  end)

  it("takes characters of any script in what is pasted", function()
    local text = "size = '日本語'\n-- 😀, ä\nprint('<' .. #size .. size .. '>')"
    local written = session { { "type", "\27[200~" .. text .. "\27[201~\r" }, { "wait", "<9" },
      { "wait", "> " }, "#size + 1" }
    assert.matches("\n<9日本語>\n", written)
    assert.matches("\n10\n", written)
  end)

  it("shows the line of an error with a caret, and no call of its own", function()
    local written = session { "peri.tensr(1)", "t = {}", "  t.x.y = 1",
      "peri.linear(peri.ones(2, 3), peri.ones(4, 4))", "x = = 1" }
    assert.matches("\n%[1%]:1: attempt to call a nil value %(field 'tensr'%): did you mean peri.tensor%?\n" ..
      "    peri.tensr%(1%)\n         %^~~~~\n", written)
    assert.matches("%(field 'x'%)\n      t.x.y = 1\n        %^\n", written)
    assert.matches("linear: x is 2x3 but weight is 4x4 [^\n]*\n    peri.linear[^\n]*\n         %^~~~~~\n", written)
    assert.matches("unexpected symbol near '='\n    x = = 1\n      %^\n", written)
    assert.falsy(written:find("perilune/", 1, true))
    assert.falsy(written:find("[program", 1, true))
  end)

  it("colours errors where the terminal can, unless NO_COLOR is set", function()
    local red = "\27%[31mboo"
    assert.matches(red, (session({ "error('boo', 0)" }, nil, true)))
    assert.is_nil(session({ "error('boo', 0)" }, { NO_COLOR = "1" }, true):find(red))
    local dumb = session({ "error('boo', 0)", "peri.plot.figure():line{1, 2}:show()" }, { TERM = "dumb" }, true)
    assert.is_nil(dumb:find "\27")
  end)

  local DRAW = "peri.plot.figure{width = 120, height = 90}:line{1, 2}:show()"

  it("draws pictures by the protocol that the terminal has, else with characters", function()
    local asked = "\27_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\27\\\27[c"
    local kitty = session({ { "answer", asked, "\27_Gi=31;OK\27\\\27[?62c" }, DRAW }, nil, true)
    local data = {}
    for piece in kitty:gmatch "\27_G[^;]*m=[01];([^\27]*)\27\\" do data[#data + 1] = piece end
    assert.truthy(#data > 0 and table.concat(data):find "^iVBORw0KGgo", "a PNG in base64")
    local sixel = session({ { "answer", asked, "\27[?62;4;22c" }, DRAW }, nil, true)
    assert.matches("\27P[%d;]*q", sixel)
    local none = session({ { "answer", asked, "\27[?6c" }, DRAW }, nil, true)
    assert.matches("%*%*", none)
    assert.falsy(none:find "\27P" or none:find "\27_Ga=T")
    local text = session({ ":set plots text", DRAW }, nil, true)
    assert.is_nil(text:find(asked, 1, true))
    assert.matches("%*%*", text)
  end)
end)

describe("Ctrl-C at the prompt #program #terminal", function()
  -- What runs long after it has written "go", where it has no variable of its own to lose.
  local LONG = {
    script = "io.write('g', 'o\\n') while true do n = n + 1 end",
    ["loop in a coroutine"] = "coroutine.wrap(function() io.write('g', 'o\\n') while true do n = n + 1 end end)()",
    ["loop in pcall"] = "io.write('g', 'o\\n') pcall(function() while true do n = n + 1 end end) " ..
      "print 'interrupted!'",
    product = "a = peri.ones(1, 1):expand(20000, 20000) io.write('g', 'o\\n') a:mm(a)",
    training = "io.write('g', 'o\\n') peri.train.fit{model = net, loss = loss, optimizer = opt, train = {X, y}, " ..
      "epochs = 1e6, progress = false}",
    decomposition = "io.write('g', 'o\\n') peri.linalg.eig(square)",
    machine = "io.write('g', 'o\\n') peri.svm.SVC{C = 1e6, tol = 1e-12}:fit(big, labels)",
  }
  local BEGINS = {
    "n, kept = 0, {1, 2, peri.ones(3)}", "square = peri.randn(2000, 2000)", "X, y = peri.data.moons(400)",
    "big, labels = peri.randn(4000, 40), peri.randint(1, 3, {4000})",
    "net = peri.nn.Sequential(peri.nn.Linear(2, 16), peri.nn.ReLU(), peri.nn.Linear(16, 2))",
    "loss = peri.nn.CrossEntropyLoss()", "opt = peri.optim.SGD(net:parameters(), {lr = 0.01})",
  }

  for what, code in pairs(LONG) do
    it("stops a " .. what .. " at any moment, and every variable is there", function()
      local lines, moment = { table.unpack(BEGINS) }, 1
      for _ = 1, 6 do
        moment = moment * 7 % 101
        local steps = { { "type", code .. "\r" }, { "wait", "\ngo" }, { "spin", moment * 2000 }, { "type", "\3" },
                        { "wait", "interrupted!" }, { "wait", "\n> " } }
        table.move(steps, 1, #steps, #lines + 1, lines)
        lines[#lines + 1] = "'kept ' .. #kept .. ' ' .. kept[3]:sum():item() .. ' ' .. type(n) .. ' ' .. #net"
      end
      local written = session(lines)
      assert.equal(6, select(2, written:gsub("\nkept 3 3.0 number 3\n", "")), written)
    end)
  end
end)
