-- peri.data.read_csv and write_csv as a script meets them; cells and records are tested in C.
local peri = require "perilune"
local samples = require "support.samples"
local fails = require("support.fails").at_script
local inject = require("support.failing").inject
local data = peri.data

describe("CSV files", function()
  local base = os.tmpname()
  local path, tabs = base .. ".csv", base .. ".tsv"
  teardown(function()
    for _, name in ipairs { base, path, tabs } do os.remove(name) end
  end)

  local function put(text, name)
    local file <close> = assert(io.open(name or path, "wb"))
    file:write(text)
  end

  local function get(name)
    local file <close> = assert(io.open(name or path, "rb"))
    return file:read "a"
  end

  it("of another separator say which it may be", function()
    put "a;b;y\n1;2;x\n"
    fails("none of the 1 names in the first record (the first record is one cell that holds ';': separator = ';'?)",
      data.read_csv, path, { label = "y" })
    fails("'1;2;x' (expected a number) (the first record is one cell that holds ';'", data.read_csv, path)
    put "a\tb\n1\tx\n"
    fails("holds tabs: separator = '\\t'?)", data.read_csv, path)
    put "a\nx\n"
    assert.falsy(select(2, pcall(data.read_csv, path)):find("separator", 1, true))
    put "a;b\n1;x\n"
    assert.falsy(select(2, pcall(data.read_csv, path, { separator = ";" })):find("separator", 1, true))
  end)

  it("keep their letters in messages", function()
    put "a,b\n1,Espèce 日本\n2,\xff\n"
    fails("'Espèce 日本' (expected a number)", data.read_csv, path)
    put "a\n\xff\xc3\n"
    fails("'??' (expected a number)", data.read_csv, path)
    put "1 1:è\n"
    fails("'è'", data.read_svmlight, path)
  end)

  it("are not taken for options when they stand last among arguments", function()
    put "a,b,y\n1,2,1\n3,4,2\n"
    local machine, network = peri.svm.SVC {}, peri.train.Classifier { build = print }
    for _, f in ipairs { function() machine:fit(data.read_csv(path, { label = "y" })) end,
      function() network:fit(data.read_csv(path, { label = "y" })) end } do
      fails("options are what read_csv gives third (expected: local X, y = data.read_csv(..))", f)
    end
  end)

  it("are read, with or without a header", function()
    put "1,2.5\n-3,4e2\n"
    local X, y, info = data.read_csv(path)
    assert.equal("float32", X.dtype)
    assert.same({ { 1, 2.5 }, { -3, 400 } }, X:totable())
    assert.is_nil(y)
    assert.same({ header = false, columns = { 1, 2 } }, info)
    X, y, info = data.read_csv(path, { header = true, dtype = "float64" })
    assert.equal("float64", X.dtype)
    assert.same({ { -3, 400 } }, X:totable())
    assert.is_nil(y)
    assert.same({ header = true, columns = { "1", "2.5" } }, info)
    put "width,height\n1,2\n"
    X, y, info = data.read_csv(path)
    assert.is_nil(y)
    assert.same({ { 1, 2 } }, X:totable())
    assert.same({ header = true, columns = { "width", "height" } }, info)
    fails("line 1, column 1: 'width' (expected a number)", data.read_csv, path, { header = false })
  end)

  it("with numbers as names come back as they were written", function()
    local X = peri.tensor { { 10, 20 }, { 30, 40 } }
    local lists = { { "1", "2" }, { "2019", "2e3" }, { "nan", "" }, { "NA", "-inf" }, { "0x", "1" }, { " 1", "2" } }
    for _, names in ipairs(lists) do
      data.write_csv(path, X, nil, { columns = names })
      local Y, _, info = data.read_csv(path)
      assert.same(X:totable(), Y:totable())
      assert.is_true(info.header)
      data.write_csv(path, X:narrow(1, 1, 0), nil, { columns = names })
      assert.same({ 0, 2 }, data.read_csv(path).shape)
      data.write_csv(path, X, peri.tensor({ 1, 2 }, { dtype = "int64" }), { columns = names, label = "7" })
      local Z, y = data.read_csv(path, { label = -1 })
      assert.same({ X:totable(), { 1, 2 } }, { Z:totable(), y:totable() })
    end
    put '"1","2"\n10,20\n'
    assert.same({ 1, 2 }, data.read_csv(path).shape)
    assert.same({ 2, 2 }, data.read_csv(path, { header = false }).shape)
    put '"1",2\n10,20\n' -- one in quotes is no sign
    assert.same({ 2, 2 }, data.read_csv(path).shape)
    put '1,2\n10,20\n'
    assert.same({ 1, 2 }, data.read_csv(path, { header = true }).shape)
  end)

  it("begin with a mark, end lines as they like, and are named in UTF-8", function()
    for _, text in ipairs { "a,b\n1,2\n", "a,b\r\n1,2\r\n", "a,b\r\n1,2", '"a",b\n1,2' } do
      put("\xef\xbb\xbf" .. text)
      local X, _, info = data.read_csv(path)
      assert.same({ { { 1, 2 } }, { "a", "b" } }, { X:totable(), info.columns })
    end
    put "a,b\r1,2\r"
    fails("line 1: a carriage return is not followed by a line feed (expected lines that end with", data.read_csv, path)
    put "\xff\xfea\0"
    fails("line 1: the file is UTF-16 (expected UTF-8)", data.read_csv, path)
    put "a,Espèce\n1,漢字\n"
    fails("label is 'Espéce', which is none of the 2 names", data.read_csv, path, { label = "Espéce" })
    fails("line 2, column 2: '漢字' (expected a number)", data.read_csv, path)
    put "a,b\n1,\x1b[31m\xff\xc2\x9b\n"
    fails("line 2, column 2: '?[31m??' (expected a number)", data.read_csv, path)
  end)

  it("give labels that are texts as sorted classes", function()
    put "a,kind,b\n1,dog,2\n3,\"cat, big\",4\n5,dog,6\n"
    local X, y, info = data.read_csv(path, { label = "kind" })
    assert.same({ { 1, 2 }, { 3, 4 }, { 5, 6 } }, X:totable())
    assert.equal("int64", y.dtype)
    assert.same({ 2, 1, 2 }, y:totable())
    assert.same({ header = true, columns = { "a", "b" }, label = "kind", classes = { "cat, big", "dog" } }, info)
    local again, labels = data.read_csv(path, { label = 2 })
    assert.is_true(again:equal(X) and labels:equal(y))
    X, y, info = data.read_csv(path, { label = -2, columns = { "b" } })
    assert.same({ { 2 }, { 4 }, { 6 } }, X:totable())
    assert.same({ 2, 1, 2 }, y:totable())
    assert.same({ "b" }, info.columns)
  end)

  it("give labels that are numbers as they are", function()
    put "0.5,7\n1.5,-2\n"
    local _, y, info = data.read_csv(path, { label = 2 })
    assert.equal("int64", y.dtype)
    assert.same({ 7, -2 }, y:totable())
    assert.same({ header = false, columns = { 1 }, label = 2 }, info)
    put "0.5,7\n1.5,-2.5\n"
    _, y = data.read_csv(path, { label = -1 })
    assert.equal("float64", y.dtype)
    assert.same({ 7, -2.5 }, y:totable())
  end)

  it("give texts that look like numbers back as they were written", function()
    local X, y = peri.tensor { { 1, 2 }, { 3, 4 } }, peri.arange(2, 1, -1)
    for _, classes in ipairs { { "01", "1" }, { "10", "9" }, { "-0.5", "1e400" }, { "1", "one" } } do
      data.write_csv(path, X, y, { classes = classes })
      local again, labels, info = data.read_csv(path, { label = -1 })
      assert.is_true(again:equal(X))
      assert.same({ classes[2], classes[1] }, { info.classes[labels[1]], info.classes[labels[2]] })
    end
    put "1,\"7\"\n2,8\n" -- not all are texts
    assert.same({ 7, 8 }, (select(2, data.read_csv(path, { label = 2 }))):totable())
    put "\"1\",\"7\"\n\"2\",\"8\"\n" -- all that there is stands in quotes
    assert.same({ 7, 8 }, (select(2, data.read_csv(path, { label = 2, header = false }))):totable())
    for _, name in ipairs { "\xef\xbb\xbf1", "\xef\xbb\xbfa" } do
      data.write_csv(path, X, nil, { columns = { name, "2" } })
      local rows, _, info = data.read_csv(path)
      assert.is_true(rows:equal(X))
      assert.same({ name, "2" }, info.columns)
    end
  end)

  it("have columns in the order that was asked for", function()
    put "a,b,c\n1,x,3\n"
    assert.same({ { 3, 1 } }, (data.read_csv(path, { columns = { "c", "a" } })):totable())
    assert.same({ { 3, 1 } }, (data.read_csv(path, { columns = { -1, 1.0 } })):totable())
  end)

  it("have missing cells when that is allowed", function()
    put "a,b\n1,\nNA,2\n"
    fails(path .. ": line 2, column 2: the cell is empty", data.read_csv, path)
    local X = data.read_csv(path, { missing = "nan" })
    assert.equal(1, X[1][1])
    assert.equal(2, X[2][2])
    assert.is_true(X[1][2] ~= X[1][2] and X[2][1] ~= X[2][1])
  end)

  it("take their separator from the option or from the name", function()
    put("1\t2\n", tabs)
    assert.same({ { 1, 2 } }, (data.read_csv(tabs)):totable())
    put "1;2,5\n"
    fails("'1;2' (expected a number)", data.read_csv, path, { header = false })
    assert.same({ { 1, 2 } }, (function()
      put "1;2\n"
      return (data.read_csv(path, { separator = ";" })):totable()
    end)())
    data.write_csv(tabs, peri.tensor { { 1, 2 } })
    assert.equal("1\t2\n", get(tabs))
    data.write_csv(path, peri.tensor { { 1, 2 } }, nil, { separator = "|" })
    assert.equal("1|2\n", get())
  end)

  it("give back the bits that were written", function()
    for _, dtype in ipairs { "float32", "float64" } do
      local X = peri.randn(50, 7, { dtype = dtype })
      X[{ 1, { 1, 4 } }] = peri.tensor({ -0.0, 1 / 0, -1 / 0, 1e-40 }, { dtype = dtype })
      for _, y in ipairs { peri.randn(50, { dtype = "float64" }), peri.arange(-10, 39), peri.randint(1, 3, { 50 }) } do
        local classes = y.dtype == "int64" and y:min():item() == 1 and { "a", "b \"quoted\"", "c,\nd" } or nil
        data.write_csv(path, X, y, { label = "class, or number", classes = classes })
        local read_X, read_y, info = data.read_csv(path, { dtype = dtype, label = "class, or number" })
        assert.equal(samples.bits(X), samples.bits(read_X))
        assert.equal(samples.bits(y), samples.bits(read_y))
        assert.same(classes, info.classes)
        assert.same({ "x1", "x2", "x3", "x4", "x5", "x6", "x7" }, info.columns)
      end
      data.write_csv(path, X:t())
      assert.equal(samples.bits(X:t():contiguous()), samples.bits((data.read_csv(path, { dtype = dtype }))))
    end
    local integers = peri.tensor({ { math.maxinteger, -1 } }, { dtype = "int64" })
    data.write_csv(path, integers, nil, { columns = { "a", "b" } })
    assert.equal("a,b\n9223372036854775807,-1\n", get())
  end)

  it("give the same bits each time, with any number of threads", function()
    local X, y = data.digits(20, { seed = 1 })
    data.write_csv(path, X, y)
    local text, threads = get(), peri.get_num_threads()
    for n = 1, 3 do
      peri.set_num_threads(n)
      local read_X, read_y = data.read_csv(path, { label = -1 })
      assert.equal(samples.bits(X), samples.bits(read_X))
      assert.equal(samples.bits(y), samples.bits(read_y))
      data.write_csv(path, read_X, read_y)
      assert.equal(text, get())
    end
    peri.set_num_threads(threads)
  end)

  it("that are broken are named with line and column, and leave nothing", function()
    collectgarbage()
    local before = peri.memory().in_use
    for text, message in pairs {
      ["1,2\n3\n"] = "line 2: 1 cell (expected 2, as in the first record)", ["1,2\n3,x\n"] = "line 2, column 2: 'x'",
      ["1\n\"2"] = "line 2, column 1: a quote is not closed", ["1\n2\0\n"] = "line 2, column 1: there is a zero byte",
      ["1\n1e39\n"] = "line 2, column 1: '1e39' is beyond the largest float32", [""] = "line 1: the file has no record",
      ["{}\n{}\n"] = "line 2, column 1: '{}' (expected a number)",
    } do
      put(text)
      fails("read_csv: " .. path .. ": " .. message, data.read_csv, path)
    end
    put "a,b,a\n1,2,3\n"
    fails("line 1: label is 'c', which is none of the 3 names in the first record", data.read_csv, path,
      { label = "c" })
    fails("line 1, column 3: label is 'a', but column 1 has that name, too", data.read_csv, path, { label = "a" })
    fails("line 1, column 2: the column is asked for twice", data.read_csv, path, { label = 2, columns = { 2 } })
    fails("label is 4, but there are 3 columns", data.read_csv, path, { label = 4 })
    fails("/nowhere/there: cannot be opened", data.read_csv, "/nowhere/there")
    collectgarbage()
    assert.is_true(peri.memory().in_use <= before)
  end)

  it("fail cleanly when memory ends", function()
    put "a,b,kind\n1,2,x\n3,4,y\n"
    inject("read_csv", nil, function() data.read_csv(path, { label = "kind" }) end)
  end)

  it("ask for sound arguments", function()
    put "1,2\n"
    local read, write = data.read_csv, data.write_csv
    fails("read_csv: path must be a string, got nil", read)
    fails("read_csv: path must be a string, got 3", read, 3, { separator = "," })
    fails("read_csv: unknown option sep (known: columns, dtype, header, label, missing, separator)", read, path,
      { sep = 1 })
    fails("read_csv: options must be a table, got 'x'", read, path, "x")
    for _, wrong in ipairs { "", ",,", "1", "\"", "\n", 5, "." } do
      fails("read_csv: separator must be a tab or one of ", read, path, { separator = wrong })
    end
    fails("read_csv: header must be true or false, got 1", read, path, { header = 1 })
    fails("read_csv: missing must be one of error, nan, got 'skip'", read, path, { missing = "skip" })
    fails("read_csv: dtype is int64 (expected float32 or float64)", read, path, { dtype = "int64" })
    fails("read_csv: label must be a name or a position (from 1, or from -1 at the end), got 0", read, path,
      { label = 0 })
    fails("read_csv: label must be a name or a position", read, path, { label = 1.5 })
    fails("read_csv: columns must be a list of 1 or more names or positions, got a table", read, path,
      { columns = {} })
    fails("read_csv: entry 2 of columns must be a name or a position", read, path, { columns = { 1, true } })
    fails("read_csv: columns have names only with a header", read, path, { header = false, label = "a" })
    local X, y = peri.zeros(2, 2), peri.arange(1, 2)
    fails("write_csv: X must be a tensor n x d, got nil", write, path)
    fails("write_csv: X must be a tensor n x d, got a tensor int64 of 2", write, path, y)
    fails("write_csv: X has shape 2x0", write, path, peri.zeros(2, 0))
    fails("write_csv: X is bool", write, path, X:eq(0))
    fails("write_csv: y must be a tensor, got 3", write, path, X, 3)
    fails("write_csv: y has shape 3 (expected 2, as X has rows)", write, path, X, peri.zeros(3))
    fails("write_csv: label and classes are for y, but there is none", write, path, X, nil, { label = "a" })
    fails("write_csv: columns has 1 names (expected 2)", write, path, X, y, { columns = { "a" } })
    fails("write_csv: entry 2 of columns must be a text, got true", write, path, X, y, { columns = { "a", true } })
    fails("write_csv: entry 1 of classes must be a text, got ''", write, path, X, y, { classes = { "" } })
    fails("write_csv: entry 2 of y is 2, but classes has 1 entries", write, path, X, y, { classes = { "a" } })
    fails("write_csv: y is float32 (expected int64, with classes)", write, path, X, y:to "float32",
      { classes = { "a", "b" } })
    fails("write_csv: unknown option header", write, path, X, y, { header = true })
    fails("/nowhere/there", write, "/nowhere/there", X)
    assert.equal("1,2\n", get())
  end)

  it("are documented, with their errors", function()
    for _, name in ipairs { "read_csv", "write_csv" } do
      assert.matches("^data%." .. name .. "%(.*\nErrors", peri.documentation(data[name]))
    end
  end)
end)
