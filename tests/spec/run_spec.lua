-- peri.run: what is written, that it stays when a script dies, and that no name leads out of the folder.
local peri = require "perilune"
local program = require "support.program"
local message_of = require("support.fails").message

local folder

local function content(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

local function lines_of(path)
  local lines = {}
  for line in content(path):gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
  return lines
end

local function remove(path)
  local pipe = assert(io.popen("rm -r '" .. path .. "'"))
  assert(pipe:close())
end

describe("run", function()
  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
  end)

  after_each(function() if io.open(folder) then remove(folder) end end)

  it("writes config, seed, versions and a line for each step", function()
    local r = peri.run { name = "rings", dir = folder, seed = 7,
      config = { lr = 0.1, sizes = { 2, 10, 2 }, limit = math.huge } }
    assert.matches("^" .. folder:gsub("%p", "%%%0") .. "/rings/%d+%-%d%d%-%d%d_%d%d%-%d%d%-%d%d$", r.path)
    local facts = content(r.path .. "/run.json")
    assert.matches('"config":{"limit":null,"lr":0.1,"sizes":%[2,10,2%]}', facts)
    assert.matches('"not_finite":{"config.limit":"inf"}', facts)
    assert.matches('"seed":7', facts)
    assert.matches('"status":"running"', facts)
    assert.matches('"versions":{"compiler":"[^"]+","kernels":"[^"]+","openblas":', facts)
    assert.equal(r, r:log { loss = 0.5, accuracy = peri.tensor(1) })
    r:log { step = 10, loss = 0 / 0 }
    r:log { loss = { 1, math.huge } }
    local lines = lines_of(r.path .. "/metrics.jsonl")
    assert.matches('^{"accuracy":1.0,"loss":0.5,"seconds":[%d.e-]+,"step":1}$', lines[1])
    assert.matches('^{"loss":null,"not_finite":{"loss":"nan"},"seconds":[%d.e-]+,"step":10}$', lines[2])
    assert.matches('^{"loss":%[1,null%],"not_finite":{"loss%[2%]":"inf"},"seconds":[%d.e-]+,"step":11}$', lines[3])
    r:close()
    assert.matches('"status":"finished"', content(r.path .. "/run.json"))
    assert.matches("run: log was called after close", message_of(r.log, r, { loss = 1 }))
  end)

  it("seeds the default stream", function()
    local r <close> = peri.run { name = "a", dir = folder, seed = 5 }
    local first = peri.rand(3)
    peri.manual_seed(5)
    assert.is_true(first:equal(peri.rand(3)))
    assert.equal("a", r.name)
  end)

  it("gives runs of the same second folders of their own", function()
    local seen = {}
    for _ = 1, 4 do
      local r <close> = peri.run { name = "a", dir = folder }
      assert.is_nil(seen[r.path])
      seen[r.path] = true
    end
  end)

  it("loses no line when the script is killed, and notes an error", function()
    local script = [[
      local peri = require "perilune"
      local r <close> = peri.run { name = "a", dir = "%s" }
      for step = 1, 50 do r:log { loss = 1 / step } end
      print(r.path)
      io.stdout:flush()
      %s]]
    local kill = "io.popen('kill -9 $PPID'):read 'a'"
    local out, _, status = program { "-e", script:format(folder, kill) }
    assert.equal(128 + 9, status)
    local lines = lines_of(out:match "[^\n]+" .. "/metrics.jsonl")
    assert.equal(50, #lines)
    assert.matches('"loss":0.02,"seconds":[%d.e-]+,"step":50}$', lines[50])
    out, _, status = program { "-e", script:format(folder, "error 'boom'") }
    assert.equal(1, status)
    local facts = content(out:match "[^\n]+" .. "/run.json")
    assert.matches('"error":"[^"]*boom"', facts)
    assert.matches('"status":"failed"', facts)
    out = program { "-e", (script:gsub("<close> ", ""):format(folder, "")) }
    assert.matches('"status":"ended"', content(out:match "[^\n]+" .. "/run.json"))
  end)

  it("saves figures", function()
    local r <close> = peri.run { name = "a", dir = folder }
    local figure = peri.plot.figure { title = "loss" }:line { 3, 2, 1 }
    r:figure(figure, "loss"):figure(figure, "again.txt")
    assert.matches("^<%?xml", content(r.path .. "/loss.svg"))
    assert.matches("^\137PNG", content(r.path .. "/loss.png"))
    assert.matches("loss", content(r.path .. "/again.txt"))
  end)

  it("refuses names that lead elsewhere, and options that it does not know", function()
    for _, name in ipairs { "", ".", "..", "../a", "a/b", "/etc", "a\0b", "a\nb", ".hidden", "a\\b", ("x"):rep(101) } do
      local message = message_of(function() peri.run { name = name, dir = folder } end)
      assert.matches("^[^\n]*run_spec.lua:%d+: run: name is '[^\n]*' %(expected 1 to 100 bytes [^\n]*$", message)
    end
    local r <close> = peri.run { name = "a", dir = folder }
    local figure = peri.plot.figure():line { 1, 2 }
    for _, name in ipairs { "../a", "b/c", "..", "a\0.svg" } do
      assert.matches("run: figure: name is '.*' %(expected 1 to 100 bytes", message_of(r.figure, r, figure, name))
    end
    assert.matches("name must be a string, got nil", message_of(peri.run, {}))
    assert.matches("unknown option nam ", message_of(peri.run, { nam = "a" }))
    assert.matches("seed must be a whole number, got 1.5", message_of(peri.run, { name = "a", seed = 1.5 }))
    assert.matches("config.f is a function", message_of(peri.run, { name = "b", dir = folder, config = { f = print } }))
    assert.is_nil(io.open(folder .. "/b"))
    assert.matches("cannot make the folder", message_of(peri.run, { name = "a", dir = "/dev/null" }))
  end)
end)

describe("json", function()
  local json = peri.run.json

  it("writes what RFC 8259 says", function()
    local cases = {
      { nil, "null" }, { true, "true" }, { 12, "12" }, { -0.5, "-0.5" }, { 3.0, "3.0" }, { 1e300, "1e+300" },
      { 0.1, "0.1" }, { 1 / 3, "0.3333333333333333" }, { 0.1 + 0.2, "0.30000000000000004" }, { -0.0, "-0.0" },
      { 5e-324, "4.94065645841247e-324" }, { math.mininteger, "-9223372036854775808" }, { 0 / 0, "null" },
      { -math.huge, "null" }, { { 1, "a", false }, '[1,"a",false]' }, { {}, "{}" }, { { {} }, "[{}]" },
      { { b = 1, a = { 2 }, [3] = 4 }, '{"3":4,"a":[2],"b":1}' }, { peri.eye(2), "[[1.0,0.0],[0.0,1.0]]" },
      { 'a"b\\c\n\t\r\0\27\127/', [["a\"b\\c\n\t\r\u0000\u001b\u007f/"]] }, { "é漢😀", '"é漢😀"' },
      { "a\xffb\xc3", '"a\u{FFFD}b\u{FFFD}"' }, { "\xed\xa0\x80", '"\u{FFFD}\u{FFFD}\u{FFFD}"' },
    }
    for _, case in ipairs(cases) do assert.equal(case[2], json(case[1])) end
  end)

  it("reads back as the same numbers", function()
    peri.manual_seed(1)
    for _, x in ipairs(peri.randn(200, { dtype = "float64" }):totable()) do
      assert.equal(x * 1e-30, tonumber(json(x * 1e-30)))
      assert.equal(x, tonumber(json(x)))
    end
  end)

  it("refuses what cannot be said", function()
    local loop = {}
    loop.a = { loop }
    assert.matches("run.json: the value.a%[1%] holds itself", message_of(json, loop))
    assert.matches("run.json: the value%[1%] is a function", message_of(json, { print }))
    local deep = {}
    for _ = 1, 99 do deep = { deep } end
    assert.equal(("["):rep(99) .. "{}" .. ("]"):rep(99), json(deep))
    assert.matches("run.json: the value is nested more than 100 deep", message_of(json, { deep }))
    for _ = 1, 30000 do deep = { a = deep } end
    assert.matches("run.json: the value is nested more than 100 deep", message_of(json, deep))
    assert.matches("run: config is nested more than 100 deep",
      message_of(peri.run, { name = "b", dir = folder, config = deep }))
    assert.matches("run.json: the value.x has 10000001 elements", message_of(json,
      { x = peri.zeros(1):expand(10000001) }))
    assert.matches("has the key true %(expected strings or whole numbers%)", message_of(json, { [true] = 1 }))
    assert.matches("has the key 1 twice", message_of(json, { [1] = 1, ["1"] = 2 }))
  end)
end)

describe("records that are read back", function()
  local function record(config, lines, close)
    local r = peri.run { name = "rings", dir = folder, config = config, seed = 3 }
    for _, line in ipairs(lines) do r:log(line) end
    if close then r:close() end
    return r
  end

  before_each(function()
    folder = os.tmpname()
    os.remove(folder)
  end)

  after_each(function() if io.open(folder) then remove(folder) end end)

  it("are what was written, numbers that are not finite too", function()
    local r = record({ lr = 0.1, limit = -math.huge, sizes = { 2, 3 } },
      { { loss = 2, acc = 0.5 }, { loss = 0 / 0, pair = { 1, math.huge } }, { acc = math.huge } }, true)
    r = peri.run.read(r.path .. "/")
    assert.same({ "rings", "finished", 3 }, { r.name, r.status, r.seed })
    assert.same({ lr = 0.1, limit = -math.huge, sizes = { 2, 3 } }, r.config)
    assert.same({ 2, nil }, { r.rows[1].loss, r.rows[1].not_finite })
    assert.same({ 1, math.huge }, r.rows[2].pair)
    assert.is_true(r.rows[2].loss ~= r.rows[2].loss)
    assert.same({ "float64", 3, 2 }, { r.history.loss.dtype, #r.history.loss, r.history.loss[1] })
    assert.same({ true, true }, { r.history.loss[2] ~= r.history.loss[2], r.history.loss[3] ~= r.history.loss[3] })
    assert.equal(math.huge, r.history.acc[3])
    assert.is_nil(r.history.pair)
    assert.matches("^record of rings: finished, 3 steps in ", tostring(r))
  end)

  it("are read while the run goes on, without a line that is not whole", function()
    local r = record({}, { { loss = 2 } })
    local file <close> = assert(io.open(r.path .. "/metrics.jsonl", "a"))
    file:write '{"loss":1.'
    file:flush()
    assert.same({ "running", 1 }, { peri.run.read(r.path).status, #peri.run.read(r.path).rows })
    file:write 'x}\n'
    file:flush()
    assert.matches("run.read: .*metrics.jsonl:2: byte %d+ %(expected", message_of(peri.run.read, r.path))
    r:close()
  end)

  it("are refused where there are none", function()
    local r = record({}, {}, true)
    assert.matches("run.read: .*/rings is no run's folder: it has no run.json %(the latest run in it is ",
      message_of(peri.run.read, folder .. "/rings"))
    assert.matches("run.compare: there are no runs in", message_of(peri.run.compare, folder))
    assert.matches("run.compare: there are no runs", message_of(peri.run.compare, {}))
    local file <close> = assert(io.open(r.path .. "/run.json", "w"))
    file:write "{"
    file:flush()
    assert.matches("run.json: byte 2 %(expected", message_of(peri.run.read, r.path))
  end)

  it("stand beside each other", function()
    local a = record({ lr = 0.1, n = 2 }, { { loss = 2 }, { loss = 0.25 } }, true)
    record({ lr = 0.5, n = 2 }, { { loss = 1, acc = 0.75 }, { loss = 0 / 0 } }, true)
    local c = peri.run.compare(folder .. "/rings")
    assert.same({ { "lr" }, { "acc", "loss" } }, { c.differing, c.measures })
    local lines = {}
    for line in tostring(c):gmatch "[^\n]+" do lines[#lines + 1] = line:gsub("%s+", " ") end
    assert.matches("^run status lr acc loss seconds", lines[1])
    assert.matches("finished 0.1 0.25 %d", lines[2])
    assert.matches("finished 0.5 0.75 1 %d", lines[3])
    assert.equal(1, #c:plot "acc".layers)
    assert.same({ 2, "lr 0.1" }, { #c:plot("loss").layers, c:plot("loss").layers[1].label })
    assert.equal(1, #peri.run.compare { a.path })
    assert.equal("rings", peri.run.compare { peri.run.read(a.path) }[1].name)
    assert.matches("measure must be one of acc, loss, got 'los': did you mean loss", message_of(c.plot, c, "los"))
  end)

  it("become one page, which loads nothing", function()
    record({ lr = 0.1, ["<b>"] = "<i>" }, { { loss = 2 }, { loss = 1 } }, true)
    local r = record({ lr = 0.2 }, { { loss = 2 }, { loss = 1 } }, true)
    peri.plot.figure { title = "a curve" }:line { 1, 2 }:save(r.path .. "/curve.svg")
    local out, err, status = program { "watch", folder .. "/rings/" }
    assert.same({ folder .. "/rings/index.html\n", "", 0 }, { out, err, status })
    local page = content(folder .. "/rings/index.html")
    assert.matches("<h1>rings</h1>", page)
    assert.matches("2 runs, 0 of them running", page)
    assert.matches("<td>&lt;i&gt;</td>", page)
    assert.equal(2, select(2, page:gsub("<img src=\"data:image/svg%+xml;base64,", "")))
    assert.falsy(page:find "<script" or page:find "src=\"h" or page:find "<b>")
    out = program { "watch", r.path, "--once" }
    assert.equal(r.path .. "/index.html\n", out)
    out, err, status = program { "watch", folder }
    assert.same({ "", 1 }, { out, status })
    assert.matches("^perilune watch: there are no runs in ", err)
  end)
end)
