-- help: what it finds, and that its lines fit a terminal.
local peri = require "perilune"

local function helped(...)
  local lines, old = {}, print
  _G.print = function(text) lines[#lines + 1] = text end
  local ok, message = pcall(peri.help, ...)
  _G.print = old
  assert(ok, message)
  for line in table.concat(lines, "\n"):gmatch "[^\n]+" do assert.is_true(#line <= 80, line) end
  return table.concat(lines, "\n")
end

describe("help", function()
  it("shows every operation", function()
    for _, op in ipairs(peri.ops()) do
      local doc, said = op.doc:gsub("%s+", " "), helped(op.name):gsub("%s+", " ")
      assert.equal(doc, op.name == "select" and said:sub(1, #doc) or said) -- select is a part as well
    end
  end)

  it("knows the other names of operations, and the option of all that draw", function()
    local others = 0
    for _, op in ipairs(peri.ops()) do
      for name in (op.also or ""):gmatch "%S+" do
        assert.equal(peri[op.name], peri[name])
        if not op.no_method then assert.equal(peri.zeros(1)[op.name], peri.zeros(1)[name]) end
        assert.matches("%f[%w_]" .. name .. "%f[^%w_]", op.doc)
        others = others + 1
      end
      if op.random then assert.matches("^[^\n]*generator =}", op.doc) end
    end
    assert.is_true(others >= 5)
  end)

  it("finds functions, methods and classes by value and by name", function()
    local function begins(text, x) assert.equal(text, helped(x):sub(1, #text)) end
    begins("matmul(a, b", peri.matmul)
    begins("data.circles(n", "data.circles")
    begins("data.circles(n", "peri.data.circles")
    begins("Linear(in_features", "Linear")
    begins("net:parameters()", "parameters")
    begins("x:backward(", "backward")
    begins("x:item()", peri.zeros(1).item)
    begins("figure:line(", peri.plot.figure().line)
    begins("plot.figure{", "plot.figure")
  end)

  it("finds the methods of every class, as it writes them itself", function()
    local function says(pattern, x) assert.matches(pattern, helped(x)) end
    says("^x:backward%(", "x:backward")
    says("^figure:line%(", "figure:line")
    -- in the order of the parts: machines, then networks
    says("^m:fit%(X, y, {sample_weight =.*\n\nm:fit%(X, y, {dev =", "m:fit")
    says("^train%.fit{.*m:fit%(X, y, {dev =", "fit")
    says("^optimizer:step%(.*schedule:step%(metric", "step")
    says("^m:predict%(X%) %-> labels.*m:predict%(X%) %-> tensor", "predict")
    says("^sub%(a, b", peri.zeros(1).sub_)
    says("^add%(a, b", "add_")
    says("ranges include both ends", "shape")
    says("ranges include both ends", "dtype")
  end)

  it("searches where a word stands when nothing has that name", function()
    assert.matches("Nothing is named lr; the word stands in.* optim%.Adam .*optim%.SGD", helped "lr")
    assert.matches("train%.fit", helped "early_stopping")
    assert.equal(helped(peri.nn.LSTM), helped "lstm")
    assert.equal("there is no documentation of matmull: did you mean matmul?", helped "matmull")
    assert.equal("there is no documentation of %(.*$", helped "%(.*$")
    assert.matches("^this is nil", helped(nil))
  end)

  it("shows the methods of objects", function()
    local opt = peri.optim.SGD(peri.nn.Linear(2, 2):parameters(), { lr = 1 })
    assert.matches("^SGD%(.*optimizer:step%(closure%).*optimizer:zero_grad%(%)", helped(opt))
    assert.matches("^StepLR%(.*schedule:step%(metric%)",
      helped(peri.optim.lr_scheduler.StepLR(opt, { step_size = 1 })))
    assert.matches("^data.loader%(", helped(peri.data.loader { peri.zeros(2) }))
    assert.matches("^svm.LinearSVC{.*m:decision_function%(X%)", helped(peri.svm.LinearSVC {}))
  end)

  it("explains values and parts", function()
    assert.matches("ranges include both ends.*%f[%w]backward%f[^%w_]", helped(peri.zeros(2)))
    assert.matches("g:clone%(%).*g:set_state%(state%)", helped(peri.Generator()))
    assert.matches("^Linear%(.*net:parameters%(%)", helped(peri.nn.Linear(2, 2)))
    assert.matches("^svm.SVC{", helped(peri.svm.SVC()))
    assert.matches("^data.StandardScaler.*transform", helped(peri.data.StandardScaler()))
    assert.matches("^train.Classifier{.*\nMethods:\n.*m:fit%(X, y", helped(peri.train.Classifier { build = print }))
    assert.matches("^select.KFold{", helped(peri.select.KFold()))
    assert.matches("figure:scatter%(", helped(peri.plot.figure()))
    assert.matches("Dropout%(.*Tanh%(%)", helped(peri.nn))
    assert.matches("CrossEntropyLoss", helped())
    assert.equal("there is no documentation of nonsense", helped "nonsense")
    assert.equal("there is no documentation of this number", helped(3))
  end)
end)

describe("the reference", function()
  local function read(path)
    local file <close> = assert(io.open(path))
    return file:read "a"
  end

  it("is what its generator writes", function()
    local path = os.tmpname()
    peri.reference(path)
    local made = read(path)
    os.remove(path)
    assert.is_true(made == read "docs/reference.md", "docs/reference.md is not up to date (./dev docs)")
  end)

  -- Every documented function that a script finds from the module, and every class of objects, stands in it.
  it("holds all that is documented", function()
    local text = read "docs/reference.md"
    for _, part in ipairs(require("support.internal").parts) do
      assert(part.name:find(".", 1, true) or peri[part.name], part.name)
    end
    local _ = peri.select.grid_search
    local waiting, seen, found = { peri }, {}, 0
    for _, class in pairs(require("support.internal").classes) do waiting[#waiting + 1] = class end
    while #waiting > 0 do
      local value = table.remove(waiting)
      if not seen[value] then
        seen[value] = true
        for name, entry in next, value do
          local doc = type(name) == "string" and name:sub(-1) ~= "_" and peri.documentation(entry)
          if doc then
            found = found + 1
            assert.is_true(text:find(doc:match "^[^\n]*", 1, true) ~= nil, name)
          end
          if type(entry) == "table" then waiting[#waiting + 1] = entry end
        end
      end
    end
    assert.is_true(found > 250)
  end)
end)
