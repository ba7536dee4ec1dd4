-- What nets say of themselves: summaries, the way to a layer in errors, modules by name.
local peri = require "perilune"
local message = require("support.fails").message
local nn = peri.nn

describe("nn.summary", function()
  it("counts recurrent layers and attention, and goes on with the first output", function()
    local s = nn.summary(nn.Sequential(nn.LSTM(3, 4, { num_layers = 2 }), nn.TransformerEncoder(
      nn.TransformerEncoderLayer(4, 2, { dim_feedforward = 5 }), 2)), { 6, 2, 3 })
    assert.same({ 6, 2, 4 }, s[2].shape)
    assert.equal(6 * 2 * (16 * 3 + 16 * 4 * 3), s[2].macs)
    -- projections, scores and values of 6 keys each, and the two linear layers
    assert.equal(2 * (12 * (4 * 4 * 4 + 2 * 6 * 4) + 2 * 12 * 4 * 5), s[3].macs)
    assert.equal(3 * 6 * (4 + 2), nn.summary(nn.GRUCell(4, 2), { 3, 4 }).macs)
  end)

  local function net()
    return nn.Sequential(nn.Conv2d(1, 4, 3, { padding = 1 }), nn.ReLU(), nn.BatchNorm2d(4), nn.MaxPool2d(2),
      nn.Flatten(), nn.Sequential(nn.Linear(64, 10), nn.Dropout()))
  end

  it("has outputs, parameters and multiply-adds of each layer", function()
    local whole = net()
    local s = nn.summary(whole, { 2, 1, 8, 8 })
    assert.equal(9, #s)
    assert.equal(40 + 8 + 650, s.parameters)
    assert.equal(2 * 4 * 64 * 9 + 2 * 640, s.macs)
    assert.same({ 2, 10 }, s[1].shape)
    assert.same({ "Conv2d", 1, 40, 2 * 4 * 64 * 9 }, { s[2].layer, s[2].depth, s[2].parameters, s[2].macs })
    assert.same({ "Linear", "1", 2, 650, 1280 }, { s[8].layer, s[8].name, s[8].depth, s[8].parameters, s[8].macs })
    assert.equal(table.concat({
      "layer                output  parameters  multiply-adds",
      "Sequential             2x10         698          5,888",
      "  (1): Conv2d       2x4x8x8          40          4,608",
    }, "\n"), tostring(s):match "^[^\n]*\n[^\n]*\n[^\n]*")
    assert.equal(9, select(2, tostring(s):gsub("\n", "")))
  end)

  it("changes neither modes nor buffers", function()
    local whole = net()
    whole[6]:eval()
    nn.summary(whole, { 2, 1, 8, 8 })
    assert.is_true(whole.training and whole[3].training)
    assert.is_false(whole[6].training or whole[6][2].training)
    assert.equal(0, whole[3].num_batches_tracked:item())
    assert.matches("conv2d: x is 2x3", message(nn.summary, whole, { 2, 3 }))
    assert.is_true(whole.training)
  end)

  it("takes whole numbers for embeddings, and layers written in Lua as one", function()
    local s = nn.summary(nn.Sequential(nn.Embedding(5, 3), nn.Flatten()), { 2, 4 }, { dtype = "int64" })
    assert.same({ 2, 12 }, s[1].shape)
    local Net = nn.Module.extend "Net"
    function Net:init() self.fc = nn.Linear(3, 2) end
    function Net:forward(x) return self.fc(x) end
    s = nn.summary(Net(), { 4, 3 })
    assert.same({ 1, "Net", 8 }, { #s, s[1].layer, s.parameters })
    assert.matches("summary: net must be a module, got 3", message(nn.summary, 3))
    assert.matches("summary: unknown option dtpye", message(nn.summary, Net(), { 4, 3 }, { dtpye = 1 }))
  end)
end)

describe("an error in a net", function()
  local Net = nn.Module.extend "Net"
  function Net:init()
    self.first = nn.Sequential(nn.Tanh(), nn.Linear(3, 2))
    self.second = nn.Linear(5, 2)
  end
  function Net:forward(x) return self.second(self.first(x)) end

  it("names the way to the layer", function()
    local plain = nn.Sequential(nn.Linear(10, 100), nn.ReLU(), nn.Linear(128, 10))
    assert.matches("nn_nets_spec.lua:%d+: Sequential%[3%] Linear: x is 32x100 but weight is 10x128",
      message(function() return plain(peri.zeros(32, 10)) end))
    assert.matches(": Sequential%[2%]%.Sequential%[3%] Linear: x is 4x100",
      message(nn.Sequential(nn.Tanh(), plain), peri.zeros(4, 10)))
    assert.matches(": Net%.second Linear: x is 4x2", message(Net(), peri.zeros(4, 3)))
    assert.matches(": Sequential%[1%]%.Net%.first%.Sequential%[2%] Linear: x is 4x7",
      message(nn.Sequential(Net()), peri.zeros(4, 7)))
  end)

  it("is the layer's own where there is no net", function()
    assert.matches("%d+: linear: x is 4x2", message(function() return nn.Linear(3, 2)(peri.zeros(4, 2)) end))
  end)

  it("is right again behind one that was caught", function()
    local net = nn.Sequential(Net(), nn.Linear(2, 2))
    pcall(net, peri.zeros(4, 7))
    assert.matches(": Sequential%[1%]%.Net%.second Linear: x is 4x2", message(net, peri.zeros(4, 3)))
  end)
end)

describe("ModuleDict", function()
  it("holds modules by name", function()
    local dict = nn.ModuleDict { b = nn.Linear(2, 3), a = nn.Tanh(), c = nn.Linear(1, 1, { bias = false }) }
    local names = {}
    for name in dict:named_parameters() do names[#names + 1] = name end
    assert.same({ "b.weight", "b.bias", "c.weight" }, names)
    assert.equal("Linear", nn.type(dict.b))
    assert.equal("ModuleDict", nn.type(dict))
    dict.d = nn.Linear(1, 1)
    assert.equal(5, #dict:parameters())
    assert.matches("ModuleDict: a is 3 %(expected a module%)", message(nn.ModuleDict, { a = 3 }))
    assert.matches("ModuleDict: the modules must be a table", message(nn.ModuleDict))
  end)
end)

describe("named_children", function()
  local function children(net)
    local list = {}
    for name, child in net:named_children() do list[#list + 1] = name .. " " .. nn.type(child) end
    return list
  end

  it("goes through what a module holds itself, in the order of registration", function()
    local dict = nn.ModuleDict { b = nn.Linear(2, 3), a = nn.Sequential(nn.Tanh()) }
    dict.scale = peri.ones(1, { requires_grad = true })
    dict.aa = nn.Tanh()
    assert.same({ "a Sequential", "b Linear", "aa Tanh" }, children(dict))
    dict.a = nil
    assert.same({ "b Linear", "aa Tanh" }, children(dict))
    assert.same({ "1 Linear", "2 ModuleDict" }, children(nn.Sequential(nn.Linear(1, 1), dict)))
    assert.same({ "1 Tanh" }, children(nn.ModuleList(nn.Tanh())))
    assert.same({}, children(nn.Linear(1, 1)))
    assert.same({}, children(nn.Sequential()))
    local tanh = nn.Tanh()
    for _, child in nn.Sequential(tanh):named_children() do assert.equal(tanh, child) end
    assert.matches("named_children: expected a module %(net:named_children%(%) with a colon%), got 3",
      message(nn.Module.named_children, 3))
  end)
end)

describe("names that count from 0", function()
  local function net()
    return nn.Sequential(nn.Linear(2, 3), nn.ModuleDict { list = nn.Sequential(nn.Linear(3, 1)) })
  end

  it("are those of state_dict with first = 0, and load_state_dict takes them", function()
    local a, b = net(), net()
    local state, names = a:state_dict { first = 0 }, {}
    for name in pairs(state) do names[#names + 1] = name end
    assert.same({ "0.weight", "0.bias", "1.list.0.weight", "1.list.0.bias" }, names)
    assert.equal(b, b:load_state_dict(state, { first = 0 }))
    for name, x in a:named_parameters() do assert.is_true(x:equal(b:state_dict()[name])) end
    local said = message(b.load_state_dict, b, state)
    assert.matches("2.list.1.bias is missing; .*1.list.0.weight is unexpected; names that count from 0, as PyTorch's, "
      .. "need the option {first = 0}$", said)
    assert.is_nil(message(b.load_state_dict, b, {}):find("count from 0", 1, true))
    assert.matches("load_state_dict: first is 2 %(expected 0 to 1%)",
      message(b.load_state_dict, b, state, { first = 2 }))
  end)
end)

describe("arguments behind the first", function()
  it("of an EmbeddingBag may be a list", function()
    local bag, x = nn.EmbeddingBag(9, 3), peri.tensor({ 1, 9, 4 }, { dtype = "int64" })
    local offsets = { 1, 3 }
    assert.is_true(bag(x, peri.tensor(offsets, { dtype = "int64" })):equal(bag(x, offsets)))
    assert.matches("offsets%[1%] is 0 %(expected 1", message(bag, x, { 0, 2 }))
    assert.matches("index is 3 %(expected bags x length, or a vector with offsets%)", message(bag, x))
  end)

  it("of an LSTM are one tensor each", function()
    local x, h = peri.zeros(4, 1, 2), peri.zeros(1, 1, 3)
    assert.matches("LSTM: h must be a tensor, got a list %(expected layer%(x, h, c%)%)",
      message(nn.LSTM(2, 3), x, { h, h }))
    assert.matches("GRU: h must be a tensor, got a list %(expected layer%(x, h%)%)", message(nn.GRU(2, 3), x, { h }))
  end)

  it("of a constructor have names, and the message says which", function()
    assert.matches("Dropout: options must be a table, got 0.5 %(options have names: {p = 0.5}%)",
      message(nn.Dropout, 0.5))
  end)
end)
