-- help: what it finds, and that its lines fit a terminal.
local peri = require "perilune"

local function helped(x)
  local lines, old = {}, print
  _G.print = function(text) lines[#lines + 1] = text end
  local ok, message = pcall(peri.help, x)
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

  it("explains values and parts", function()
    assert.matches("ranges include both ends.* backward ", helped(peri.zeros(2)))
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
