-- Files of NumPy: those in tests/fuzz/corpus, which tests/peers/numpy_golden.py wrote with it, are read as what they
-- are, and NumPy reads those written here.
local peri = require "perilune"
local fails = require "support.fails"
local data = peri.data

local CORPUS = "tests/fuzz/corpus/"
local function npy(name) return CORPUS .. "npy/" .. name .. ".npy" end
local function npz(name) return CORPUS .. "npz/" .. name .. ".npz" end

-- Numbers as text that knows of the sign of zero.
local function text_of(list)
  local words = {}
  for i, v in ipairs(list) do
    words[i] = type(v) == "table" and "{" .. text_of(v) .. "}" or v ~= v and "nan" or ("%s"):format(v)
  end
  return table.concat(words, " ")
end

local function check(x, dtype, shape, values)
  assert.equal(dtype, x.dtype)
  assert.same(shape, x.shape)
  assert.equal(text_of(values), text_of(x:flatten():totable()))
  assert.is_true(x:is_contiguous())
end

describe("an array that NumPy wrote", function()
  local largest = math.maxinteger
  local INTEGERS = {
    i1 = { -128, 127 }, i2 = { -32768, 32767 }, i4 = { -2147483648, 2147483647 }, i8 = { math.mininteger, largest },
    u1 = { 0, 255 }, u2 = { 0, 65535 }, u4 = { 0, 4294967295 }, u8 = { 0, largest },
  }
  for name, ends in pairs(INTEGERS) do
    it("of " .. name .. " is read, in both orders of bytes", function()
      local low, high = ends[1], ends[2]
      for _, suffix in ipairs(name:find "1" and { "" } or { "", "-big" }) do
        local dtype = name == "u1" and "uint8" or "int64"
        check(data.read_npy(npy(name .. suffix)), dtype, { 2, 3 }, { low, 0, 1, 2, high - 1, high })
      end
    end)
  end

  local FLOATS = {
    f2 = { "float32", 2.0 ^ -14 }, f4 = { "float32", 2.0 ^ -126 }, f8 = { "float64", 2.0 ^ -1022 },
  }
  for name, row in pairs(FLOATS) do
    it("of " .. name .. " is read, in both orders of bytes", function()
      for _, suffix in ipairs { "", "-big" } do
        check(data.read_npy(npy(name .. suffix)), row[1], { 2, 3 }, { 0.5, -1.25, -0.0, math.huge, 0 / 0, row[2] })
      end
    end)
  end

  it("of bool, of no dimensions, without elements, in Fortran's order, of later versions is read", function()
    check(data.read_npy(npy "bool"), "bool", { 2, 3 }, { true, false, false, true, true, false })
    check(data.read_npy(npy "scalar"), "float64", {}, { 2.5 })
    check(data.read_npy(npy "empty"), "float32", { 3, 0, 2 }, {})
    check(data.read_npy(npy "fortran"), "float32", { 2, 3, 4 }, peri.arange(0.0, 23.0):totable())
    check(data.read_npy(npy "fortran-list"), "float64", { 3 }, { 0.0, 1.0, 2.0 })
    for version = 2, 3 do
      check(data.read_npy(npy("version-" .. version)), "int64", { 2, 3 }, { 0, 1, 2, 3, 4, 5 })
    end
  end)

  local REFUSED = {
    complex = "descr is '<c8', complex numbers", text = "descr is '<U2', text", bytes = "descr is '|S2', bytes",
    objects = "descr is '|O', Python objects", structured = "descr is structured", dates = "'<M8[s]', dates",
    times = "'<m8[s]', times", ["long-double"] = "descr is '<f16' (expected b1",
    ["u8-beyond"] = "offset 136: element 2 is beyond the largest int64",
  }
  for name, words in pairs(REFUSED) do
    it("of " .. name .. " is refused", function()
      local message = fails.at_script(words, data.read_npy, npy(name))
      assert.matches("read_npy: " .. CORPUS .. "npy/" .. name:gsub("%-", "%%-") .. ".npy: offset %d+: ", message)
    end)
  end
end)

describe("an archive that NumPy wrote", function()
  local function check_pair(list)
    local n = 0
    for _ in pairs(list) do n = n + 1 end
    assert.equal(2, n)
    check(list.a, "float32", { 2, 3 }, { 0.0, 1.0, 2.0, 3.0, 4.0, 5.0 })
    check(list["b.c/é"], "bool", { 2 }, { true, false })
  end

  for _, name in ipairs { "stored", "deflated", "pipe", "pipe-deflated" } do
    it("is read: " .. name, function() check_pair(data.read_npz(npz(name))) end)
  end

  it("may have what compresses well, names by position, or nothing", function()
    check(data.read_npz(npz "dense").zeros, "float64", { 64, 64 }, peri.zeros(4096):totable())
    local list = data.read_npz(npz "list")
    check(list.arr_0, "int64", { 3 }, { 0, 1, 2 })
    check(list.arr_1, "float32", {}, { 1.5 })
    assert.same({}, data.read_npz(npz "none"))
  end)

  it("names file, member and offset where it is refused", function()
    local message = fails.at_script("offset 20: header: descr is '|O', Python objects", data.read_npz, npz "objects")
    assert.truthy(message:find('read_npz: ' .. npz "objects" .. ': member "a.npy": offset', 1, true), message)
    fails.at_script('offset 0: member "readme.txt" is no .npy', data.read_npz, npz "text")
    fails.at_script("has no end of a ZIP archive (expected an NPZ file", data.read_npz, npy "i4")
  end)
end)

describe("the names load and save", function()
  local path = os.tmpname()
  teardown(function() os.remove(path) end)

  it("are those of the same functions in the module", function()
    local x = peri.randn(2, 3)
    peri.save_npy(path, x)
    assert.is_true(peri.load_npy(path):equal(x))
    fails.at_script("load_npz: " .. path .. ": offset 0: ", peri.load_npz, path)
    peri.save_npz(path, { x = x })
    assert.is_true(peri.load_npz(path).x:equal(x))
    fails.at_script("load_npy: " .. path .. ": offset 0: does not begin with", peri.load_npy, path)
    fails.at_script("save_npy: x must be a tensor, got nothing", peri.save_npy, path)
    fails.at_script("save_npz: tensors must be a table of names and tensors, got 3", peri.save_npz, path, 3)
    fails.at_script("write_npz: a must be a tensor, got 3", data.write_npz, path, { a = 3 })
    fails.at_script("write_npz: tensors must have strings as keys, got 1", data.write_npz, path, { x })
    fails.at_script("write_npz: the name 'a?b' holds a zero byte", data.write_npz, path, { ["a\0b"] = x })
    fails.at_script("save: the name 'a?b' holds a zero byte", peri.save, path, { ["a\0b"] = x })
    fails.at_script("write_npz: compress must be true or false, got 3", data.write_npz, path, {}, { compress = 3 })
  end)
end)

describe("NumPy", function()
  local path = os.tmpname()
  teardown(function() os.remove(path) end)

  -- What a program prints that is given the path; numpy is imported as np.
  local function python(program)
    local script = os.tmpname()
    local file = assert(io.open(script, "w"))
    file:write("import sys\nimport numpy as np\npath = sys.argv[1]\n", program)
    file:close()
    local pipe = assert(io.popen(("/usr/bin/python3 %s %s 2>&1"):format(script, path)))
    local text = pipe:read "a"
    pipe:close()
    os.remove(script)
    assert.falsy(text:find "No module named", "the package python3-numpy is missing (packages.txt)")
    return text
  end

  local X = {
    float32 = peri.tensor { { 0.5, -0.0, 1 / 3 }, { math.huge, -math.huge, 0 / 0 } },
    float64 = peri.tensor({ 1 / 3, 2.0 ^ -1074 }, { dtype = "float64" }),
    int64 = peri.tensor({ math.mininteger, 0, math.maxinteger }, { dtype = "int64" }),
    uint8 = peri.arange(0, 255):to("uint8"):view(16, 16):t(), bool = peri.tensor { true, false },
    scalar = peri.tensor(2.5), empty = peri.zeros(3, 0, 2),
  }
  local PRINT = [[
def show(x):
    return "%s %s %s" % (x.dtype.name, "x".join(map(str, x.shape)), x.tobytes().hex())
]]
  -- The same of a tensor.
  local function show(x)
    local hex = x:bytes():gsub(".", function(c) return ("%02x"):format(c:byte()) end)
    return ("%s %s %s"):format(x.dtype, table.concat(x.shape, "x"), hex)
  end

  it("reads every array that is written", function()
    for name, x in pairs(X) do
      data.write_npy(path, x)
      assert.equal(show(x) .. "\n", python(PRINT .. "print(show(np.load(path)))\n"), name)
    end
  end)

  it("reads archives in all their forms, names in order", function()
    local expected = {}
    for name, x in pairs(X) do expected[#expected + 1] = name .. " " .. show(x) .. "\n" end
    table.sort(expected)
    for form = 0, 3 do
      data.write_npz(path, X, { compress = form % 2 == 1, zip64 = form > 1 })
      local got = python(PRINT .. "z = np.load(path)\nfor k in z.files: print(k, show(z[k]))\n")
      assert.equal(table.concat(expected), got, form)
    end
    data.write_npz(path, {})
    assert.equal("[]\n", python "print(np.load(path).files)\n")
  end)
end)
