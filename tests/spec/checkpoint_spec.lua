-- peri.save and peri.load: tables in tables of tensors, numbers, strings and booleans; weights that other programs
-- write and read; and files that are damaged.
local peri = require "perilune"
local fails = require "support.fails"
local golden = require "golden.checkpoint"
local scratch = require "support.scratch"
local nn = peri.nn

local function read(path)
  local file <close> = assert(io.open(path, "rb"))
  return file:read "a"
end

-- As a new file: some systems wait for the disk where an old one is cut to nothing.
local function write(path, content)
  os.remove(path)
  local file <close> = assert(io.open(path, "wb"))
  file:write(content)
end

-- A text of a value by which two are the same bit for bit.
local function text_of(value)
  if peri.is_tensor(value) then
    return ("%s[%s]%s"):format(value.dtype, table.concat(value.shape, ","), value:contiguous():bytes())
  elseif math.type(value) == "float" then
    return "float " .. (">d"):pack(value)
  elseif type(value) ~= "table" then
    return ("%s %q"):format(type(value), value)
  end
  local parts = {}
  for key, entry in next, value do parts[#parts + 1] = ("%s=%s;"):format(text_of(key), text_of(entry)) end
  table.sort(parts)
  return "{" .. table.concat(parts) .. "}"
end

describe("peri.save and peri.load", function()
  local path = scratch()
  teardown(function() os.remove(path) end)

  local function again(value, metadata)
    peri.save(path, value, metadata)
    return peri.load(path)
  end

  it("give tables in tables back, bit for bit", function()
    local net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    local cases = {
      {}, { {} }, { 1, 2, 3 }, { a = 1, b = 1.0, c = -0.0, d = math.huge, e = -math.huge, f = 0 / 0, g = 5e-324 },
      { math.mininteger, math.maxinteger, 2 ^ 53, 0.1, 1 / 3, 1e300 }, { true, false, { yes = true, no = false } },
      { text = "", lines = "a\nb\r\t\"\\/\0", bytes = "\xff\xfe\x80\0", tree = '{"$tensor":"a"}', umlaut = "ä漢😀" },
      { [0] = "zero", [-5] = "below", [1] = "one", [2 ^ 40 | 0] = "far", x = "text" }, { 1, 2, nil, 4 },
      { ["$tensor"] = "x" }, { ["$pairs"] = { { 1, 2 } } }, { ["$"] = {} }, { ["\xff"] = peri.ones(2), ["\xfe"] = 3 },
      { ["a.b"] = peri.ones(1), a = { b = peri.zeros(2), ["b#2"] = peri.eye(2) } }, { __metadata__ = peri.ones(1), 1 },
      { ["a\0b"] = peri.ones(1), { peri.zeros(0, 3), peri.ones(1):view(1, 1)[1] } }, { "perilune.tree" },
      { peri.ones(3):gt(0), peri.arange(1, 3), peri.ones(2):to "uint8", peri.ones(2, { dtype = "float64" }),
        peri.eye(3)[{ {}, 2 }], peri.randn(3, 4):t(), peri.tensor(4):sum() },
      { model = net:state_dict(), optimizer = peri.optim.Adam(net:parameters()):state_dict(), epoch = 3, lr = { 0.1 } },
    }
    for i, case in ipairs(cases) do
      local got, metadata = again(case)
      assert.equal(text_of(case), text_of(got), "case " .. i)
      assert.is_nil(next(metadata))
    end
    local other = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    other:load_state_dict(again({ net = net:state_dict(), n = 1 }).net)
    assert.equal(text_of(net:state_dict()), text_of(other:state_dict()))
  end)

  it("give generated tables back, and the same bytes for the same table", function()
    local g = peri.Generator(7)
    local function draw(n) return peri.randint(1, n, { 1 }, { generator = g }):item() end
    local function made(deep)
      local kind = draw(deep > 4 and 5 or 8)
      if kind == 1 then return draw(1000) - 500 end
      if kind == 2 then return peri.randn(1, { generator = g, dtype = "float64" }):item() * 10 ^ draw(200) end
      if kind == 3 then return draw(2) == 1 end
      if kind == 4 then return peri.randint(0, 255, { draw(20) }, { generator = g }):to("uint8"):bytes() end
      if kind == 5 then return peri.randn({ draw(3), draw(3) }, { generator = g }) end
      local t = {}
      for i = 1, draw(6) - 1 do
        local key = draw(3) == 1 and draw(9) or draw(2) == 1 and i or ("key" .. draw(99))
        t[key] = made(deep + 1)
      end
      return t
    end
    for i = 1, 20 do
      local t = { made(0), made(0) }
      local got = again(t)
      local bytes = read(path)
      assert.equal(text_of(t), text_of(got), i)
      again(got)
      assert.equal(bytes, read(path), i)
    end
  end)

  it("leave a table of tensors by names as the format has it, without a word of their own", function()
    peri.save(path, { b = peri.ones(2), a = peri.zeros(1) }, { note = "x" })
    assert.is_nil(read(path):find("perilune", 1, true))
    local tensors, metadata = peri.load(path)
    assert.same({ note = "x" }, metadata)
    assert.equal(text_of { b = peri.ones(2), a = peri.zeros(1) }, text_of(tensors))
    local nested, words = again({ x = { peri.ones(1) } }, { note = "y" })
    assert.same({ note = "y" }, words)
    assert.equal(1, nested.x[1]:item())
  end)

  it("refuse what no file can hold, and leave the old one as it was", function()
    peri.save(path, { n = 1 })
    local before = read(path)
    local loop, deep = { a = {} }, {}
    loop.a.b = loop
    for _ = 1, 30 do deep = { deep } end
    again(deep[1])
    write(path, before)
    for _, case in ipairs {
      { { a = print }, "save: tensors.a is a function" },
      { { { x = { io.stdout } } }, "save: tensors.1.x.1 is a FILE*" },
      { { a = nn.Linear(1, 1) }, "save: tensors.a is a Linear" },
      { { a = { [true] = 1 } }, "save: tensors.a has the key true (expected strings or whole numbers)" },
      { { a = 1, [1.5] = 1 }, "save: tensors has the key 1.5 (expected strings or whole numbers)" },
      { loop, "save: tensors.a.b holds itself" }, { deep, "is nested more than 30 deep" },
      { 3, "save: tensors must be a table of names and tensors, got 3" },
    } do
      fails.at_script(case[2], function() peri.save(path, case[1]) end)
      assert.equal(before, read(path))
    end
    local strange = setmetatable({ n = 1 }, { __index = error, __pairs = error, __len = error })
    assert.equal(text_of { 1 }, text_of { (again(strange).n) }) -- metamethods have no say
    fails.at_script("save: metadata perilune.tree is a name of peri.save's own", function()
      peri.save(path, { n = 1 }, { ["perilune.tree"] = "1" })
    end)
    fails.with("load: ", peri.load, path .. ".none")
  end)

  it("refuse a damaged file, or give what was saved", function()
    local net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    local value = { model = net:state_dict(), epoch = 12, rate = 0.125, names = { "a", "b" },
      done = peri.ones(5):gt(0), counts = peri.arange(1, 5), text = "\0\xff" }
    peri.save(path, value)
    local whole, wanted = read(path), text_of(value)
    local header = 8 + ("<I8"):unpack(whole)
    local refused, same = 0, 0
    local function try(content)
      write(path, content)
      local ok, got = pcall(peri.load, path)
      if ok then
        assert.equal(wanted, text_of(got))
        same = same + 1
      else
        assert.matches("load: ", got)
        refused = refused + 1
      end
    end
    for at = 0, header do try(whole:sub(1, at)) end
    local g = peri.Generator(1)
    local function places(n, most) return peri.randint(1, most, { n }, { generator = g }):totable() end
    for _, at in ipairs(places(100, #whole)) do try(whole:sub(1, at - 1)) end
    assert.same({ header + 101, 0 }, { refused, same })
    for i = 1, 600 do
      local content = whole
      for _, bit in ipairs(places(1 + i % 3, 8 * (i % 2 == 0 and header or #whole))) do
        local at = (bit - 1) // 8 + 1
        content = content:sub(1, at - 1) .. string.char(content:byte(at) ~ 1 << (bit - 1) % 8) .. content:sub(at + 1)
      end
      try(content)
    end
    try(whole .. "\0")
    try(whole)
    assert.same({ header + 101 + 600 + 1, 1 }, { refused, same })
  end)

  it("refuse a text that no table has, although the checksum fits", function()
    local zlib_crc = {} -- the table of CRC-32, by its polynomial
    for n = 0, 255 do
      local c = n
      for _ = 1, 8 do c = c & 1 == 1 and 0xEDB88320 ~ (c >> 1) or c >> 1 end
      zlib_crc[n] = c
    end
    local function crc32(content)
      local c = 0xFFFFFFFF
      for at = 1, #content do c = zlib_crc[(c ~ content:byte(at)) & 255] ~ (c >> 8) end
      return ("%08x"):format(c ~ 0xFFFFFFFF)
    end
    local function file(tree, checksum)
      local words = '{"__metadata__":{"perilune.crc32":"%s","perilune.tree":"%s"},'
      local text = words:format(checksum or "00000000", (tree:gsub('[\\"]', "\\%0")))
        .. '"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
      text = text .. (" "):rep(-#text % 8)
      local content = ("<I8"):pack(#text) .. text .. "x"
      return checksum and content or (content:gsub("00000000\",", crc32(content) .. '",', 1))
    end
    local function load(...)
      write(path, file(...))
      return peri.load(path)
    end
    assert.same({ { 120 }, 2.5 }, { load('{"x":{"$tensor":"a"}}').x:totable(), load('{"x" : [ 2.5 ]}').x[1] })
    assert.equal("é😀/\n", load([[{"x":"\u00e9\ud83d\ude00\/\n"}]]).x)
    for _, tree in ipairs {
      "", "1", "true", '"a"', "{", "[1", "[1,]", '{"a"}', '{"a":1,}', '{1:2}', "[1] 2", "[01]", "[1e999]", "[1.2.3]",
      "[--1]", "[99999999999999999999]", "[nul]", "[null]", '["a]', [=[["\x"]]=], [=[["\ud83d"]]=], [=[["\u12"]]=],
      '{"$tensor":"a"}', '[{"$tensor":"b"}]', '[{"$tensor":1}]', '[{"$float":"12"}]', '[{"$float":3}]',
      '[{"$bytes":"1"}]', '[{"$bytes":"xx"}]', '[{"$pairs":[[1]]}]', '[{"$pairs":[[1.5,2]]}]', '[{"$pairs":[3]}]',
      '[{"$pairs":[[1,2],[1,3]]}]', ("["):rep(101) .. ("]"):rep(101), ("["):rep(100000),
    } do
      local message = fails.message(load, tree)
      assert.matches("load: .*: what it says of its tables cannot be: ", message, tree)
    end
    fails.with("the checksum is not written as 8 hexadecimal digits", load, "[1]", "1234567")
    fails.with("the file is damaged: its checksum is ", load, "[1]", "12345678")
    write(path, (file("[1]"):gsub("perilune.crc32", "perilune.crc33")))
    fails.with("its checksum is missing", peri.load, path)
  end)
end)

describe("weights of PyTorch", function()
  local path = scratch()
  teardown(function() os.remove(path) end)
  local bytes = golden.file:gsub("..", function(pair) return string.char(tonumber(pair, 16)) end)

  local Net = nn.Module.extend "Net"
  function Net:init()
    self.conv, self.norm, self.out = nn.Conv2d(2, 3, 3, { padding = 1 }), nn.BatchNorm2d(3), nn.Linear(60, 2)
  end
  function Net:forward(x) return self.out(self.norm(self.conv(x)):tanh():flatten(2)) end

  it("load by name, and give what they gave there", function()
    write(path, bytes)
    local net = Net():load_state_dict((peri.load(path))):eval()
    local y = peri.no_grad(net, peri.tensor(golden.x):view(3, 2, 4, 5))
    assert.is_true((y:flatten() - peri.tensor(golden.y)):abs():max():item() < 1e-5)
  end)

  it("are written as that program's package writes them, byte for byte", function()
    write(path, bytes)
    local net = Net():load_state_dict((peri.load(path)))
    peri.save(path, net:state_dict())
    assert.equal(bytes, read(path))
  end)
end)
