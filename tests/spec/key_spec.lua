-- Keys that mix all kinds of entries, against a model in plain Lua: what stands where, what is written, gradients.
local peri = require "perilune"
local array = require "support.array"
local fails = require("support.fails").at_script

local function long(values) return peri.tensor(values, { dtype = "int64" }) end

-- ---- the model ----
-- A key is taken apart into one list of positions for each dimension of the result; integers are chosen before all
-- else, and index tensors, and the coordinates of masks, are broadcast together.

local function range(entry, size)
  local list = {}
  local from, to = entry[1] or 1, entry[2] or size
  if from < 0 then from = from + size + 1 end
  if to < 0 then to = to + size + 1 end
  for i = from, to, entry[3] or 1 do list[#list + 1] = i end
  return list
end

-- The coordinates of the true elements of a mask, one array for each dimension.
local function coordinates(mask)
  local found, columns = array.of(mask), {}
  for d = 1, #found.shape do columns[d] = {} end
  array.build("bool", found.shape, function(at, k)
    for d = 1, found.values[k] and #at or 0 do table.insert(columns[d], at[d]) end
    return true
  end)
  for d, list in ipairs(columns) do columns[d] = array.vector("int64", list) end
  return columns
end

local function as_entries(key, ndim)
  local taken, entries = 0, {}
  for _, e in ipairs(key) do
    local is_mask = peri.is_tensor(e) and e.dtype == "bool"
    taken = taken + (is_mask and e:dim() or (e == "..." or e == peri.newaxis) and 0 or 1)
  end
  local filled = false
  for _, e in ipairs(key) do
    if e == "..." then
      for _ = 1, ndim - taken do entries[#entries + 1] = {} end
      filled = true
    elseif type(e) == "table" and type(e[1]) == "table" then
      entries[#entries + 1] = peri.tensor(e[1], { dtype = type(e[1][1]) == "boolean" and "bool" or "int64" })
    else
      entries[#entries + 1] = e
    end
  end
  for _ = 1, filled and 0 or ndim - taken do entries[#entries + 1] = {} end
  return entries
end

-- The result's shape, and f(position in it) -> position in x.
local function model(x, key)
  local dims, choosers = {}, {} -- of the views: {of = dimension of x, list = positions} or {new}; {array, of, at}
  local fixed, d = {}, 1
  for _, e in ipairs(as_entries(key, #x.shape)) do
    if e == peri.newaxis then
      dims[#dims + 1] = { list = { 1 } }
    elseif math.type(e) == "integer" then
      fixed[d] = e < 0 and e + x.shape[d] + 1 or e
      d = d + 1
    elseif peri.is_tensor(e) then
      for _, a in ipairs(e.dtype == "bool" and coordinates(e) or { array.of(e) }) do
        dims[#dims + 1] = { of = d, chooser = a }
        choosers[#choosers + 1] = a
        d = d + 1
      end
    else
      dims[#dims + 1] = { of = d, list = range(e, x.shape[d]) }
      d = d + 1
    end
  end
  local together, first, last = array.broadcast(table.unpack(choosers)), nil, nil
  for i, dim in ipairs(dims) do
    if dim.chooser then first, last = first or i, i end
  end
  local before = first and last - first + 1 == #choosers and first - 1 or 0
  local shape = {}
  for _, dim in ipairs(dims) do
    if not dim.chooser then shape[#shape + 1] = #dim.list end
  end
  for k, size in ipairs(together) do table.insert(shape, before + k, size) end
  return shape, function(at)
    local from, rest = { table.unpack(fixed, 1, #x.shape) }, 0
    local named = table.move(at, before + 1, before + #together, 1, {})
    for _, dim in ipairs(dims) do
      if dim.chooser then
        local v = array.stretched(dim.chooser, named)
        from[dim.of] = v < 0 and v + x.shape[dim.of] + 1 or v
      else
        rest = rest + 1
        local i = at[rest > before and rest + #together or rest]
        if dim.of then from[dim.of] = dim.list[i] end
      end
    end
    return from
  end
end

-- ---- keys ----

local function draw(n) return peri.randint(1, n, { 1 })[1] end

-- A key of random entries for a tensor of that shape; index tensors have the shapes 2, 3 x 1 and 1.
local function random_key(shape)
  local key, d, open = {}, 1, true
  local trues
  while d <= #shape do
    local n, kind = shape[d], draw(9)
    if kind == 1 then
      key[#key + 1] = draw(2 * n) - n
      if key[#key] == 0 then key[#key] = -n end
    elseif kind == 2 then
      local from = draw(n)
      local up = { from, -draw(n - from + 1), draw(2) }
      key[#key + 1] = draw(2) == 1 and up or { up[2], up[1], -up[3] }
    elseif kind == 3 then
      key[#key + 1] = peri.newaxis
      d = d - 1
    elseif kind == 4 and open then
      local left = draw(#shape - d + 2) - 1
      key[#key + 1], open = "...", false
      d = #shape - left
    elseif kind == 5 then
      key[#key + 1] = peri.randint(1, n, { 2 }) * (draw(2) * 2 - 3)
    elseif kind == 6 then
      key[#key + 1] = peri.randint(1, n, { 3, 1 })
    elseif kind == 7 then
      key[#key + 1] = { { draw(n), -draw(n) } }
    elseif kind == 8 and not trues and d < #shape then
      local mask = peri.zeros(n, shape[d + 1], { dtype = "bool" })
      mask[{ draw(n), draw(shape[d + 1]) }] = true
      key[#key + 1], trues, d = mask, true, d + 1
    else
      key[#key + 1] = {}
    end
    d = d + 1
    if #key > 6 then break end
  end
  return key
end

local function plain(key)
  local parts = {}
  for i, e in ipairs(key) do
    parts[i] = peri.is_tensor(e) and ("%s %s"):format(e.dtype, table.concat(e.shape, "x")) or
               type(e) == "table" and "{" .. (type(e[1]) == "table" and "list" or table.concat(e, ",")) .. "}" or
               tostring(e)
  end
  return "{" .. table.concat(parts, " | ") .. "}"
end

-- What the model reads of a tensor: the shape and the elements.
local function read(x, key)
  local a = array.of(x)
  local shape, from = model(a, key)
  return array.build(x.dtype, shape, function(at) return array.at(a, from(at)) end)
end

-- visit(x, key, words) for many keys and shapes, of contiguous tensors and of views.
local function each(visit)
  peri.manual_seed(5)
  for _, shape in ipairs { { 5 }, { 3, 4 }, { 2, 3, 4 }, { 3, 2, 2, 3 } } do
    for k = 1, 60 do
      local key = random_key(shape)
      local x = peri.arange(1, peri.zeros(shape):numel()):view(shape)
      if k % 3 == 0 then -- a view with the dimensions in another order in memory
        local order, back = {}, {}
        for d = 1, #shape do order[d], back[d] = shape[#shape + 1 - d], #shape + 1 - d end
        local y = peri.zeros(order, { dtype = "int64" }):permute(back)
        y:copy_(x)
        x = y
      end
      local ndim = #(model(array.of(x), key))
      if ndim > 0 then visit(x, key, ("%s of %s"):format(plain(key), table.concat(shape, "x"))) end
    end
  end
end

describe("keys of all kinds of entries", function()
  it("read what the model reads", function()
    local compared = 0
    each(function(x, key, words)
      local expected, got = read(x, key), x[key]
      assert.same(expected.shape, got.shape, words)
      assert.same(expected.values, array.of(got).values, words)
      compared = compared + 1
    end)
    assert.is_true(compared > 200)
  end)

  it("write where they read, numbers and tensors that broadcast, the last value where two go", function()
    each(function(x, key, words)
      local a = array.of(x)
      local shape, from = model(a, key)
      local y, expected = x:clone(), array.copy(a)
      y[key] = -7
      array.build("bool", shape, function(at)
        expected.values[array.offset(a, from(at))] = -7
        return true
      end)
      assert.same(expected.values, array.of(y).values, words)
      local values = peri.arange(101, 100 + peri.zeros(shape):numel()):view(shape)
      y[key] = values
      array.build("bool", shape, function(at, k)
        expected.values[array.offset(a, from(at))] = 100 + k
        return true
      end)
      assert.same(expected.values, array.of(y).values, words)
      y[key] = long(5)
      assert.is_true(y[key]:eq(5):all(), words)
    end)
  end)

  it("have gradients, which add up", function()
    each(function(x, key, words)
      local leaf = x:to("float64"):requires_grad_()
      local part = leaf[key]
      local weights = peri.arange(1, part:numel()):to("float64"):view(part.shape)
      local loss = (part * weights):sum()
      loss:backward()
      local a = array.of(x)
      local shape, from = model(a, key)
      local expected = array.full("float64", a.shape, 0)
      array.build("bool", shape, function(at, k)
        local place = array.offset(a, from(at))
        expected.values[place] = expected.values[place] + k
        return true
      end)
      assert.same(expected.values, array.of(leaf.grad).values, words)
    end)
  end)

  it("may have a mask as the only entry, a list, or an ellipsis alone", function()
    local x = peri.arange(1, 12):view(3, 4)
    assert.same({ 10, 11, 12 }, x[x:gt(9)]:totable())
    assert.same({ 10, 11, 12 }, x[peri.where(x:gt(9))]:totable())
    assert.same({ { 9, 10, 11, 12 }, { 1, 2, 3, 4 } }, x[{ { { 3, 1 } } }]:totable())
    assert.same({ { 1, 2, 3, 4 } }, x[{ { { true, false, false } } }]:totable())
    assert.same({ { 1, 4 }, { 5, 6 } }, x:view(-1)[{ { { { 1, 4 }, { 5, 6 } } } }]:totable())
    assert.is_true(x[{ "..." }]:equal(x))
    assert.same({ 1, 3, 4, 1 }, x[{ peri.newaxis, "...", peri.newaxis }].shape)
    assert.same({ 0, 4 }, x[{ { {} } }].shape)
    assert.equal(12, x[{ "...", -1, -1 }])
    local leaf = peri.ones(3, { requires_grad = true })
    leaf[{ { { 1, 1, -1 } } }]:sum():backward()
    assert.same({ 2, 0, 1 }, leaf.grad:totable())
  end)

  it("go down with a step below 0, as copies, and write in that order", function()
    local x = peri.arange(1, 5)
    assert.same({ 5, 4, 3, 2, 1 }, x[{ { -1, 1, -1 } }]:totable())
    assert.same({ 5, 3 }, x[{ { 5, 2, -2 } }]:totable())
    assert.same({ 1 }, x[{ { 1, 1, math.mininteger } }]:totable())
    assert.same({ 0 }, x[{ { 1, 2, -1 } }].shape)
    assert.same({ 0 }, x[{ { 5, 6, -3 } }].shape)
    x[{ { 5, 1, -2 } }] = long { 10, 20, 30 }
    assert.same({ 30, 2, 20, 4, 10 }, x:totable())
    x[{ { 5, 1, -1 } }] = x
    assert.same({ 10, 4, 20, 2, 30 }, x:totable())
    x[{ { 5, 1, -1 } }][1] = 7 -- a copy
    assert.same({ 10, 4, 20, 2, 30 }, x:totable())
  end)

  it("where the coordinates of a mask are asked for", function()
    local i, j = table.unpack(peri.where(peri.tensor { { 0, 2, 0 }, { 3, 0, 4 } }))
    assert.same({ { 1, 2, 2 }, { 2, 1, 3 } }, { i:totable(), j:totable() })
    assert.same({}, peri.where(peri.tensor(true)))
    fails("where: mask must be a tensor, got 3", peri.where, 3)
    fails("where: a is missing", peri.where, { mask = i })
  end)

  it("are refused with the entry, the position and the size", function()
    local x = peri.zeros(2, 3, 4)
    local before = x:clone()
    local function refused(message, key)
      fails(message, function() return x[key] end)
      fails(message, function() x[key] = 1 end)
      assert.is_true(x:equal(before))
    end
    refused("index: position 5 is out of range: dimension 3 has 4 (tensors do not grow; peri.cat joins them; entry 2 "
      .. "of the key)", { "...", 5 })
    refused("index: position -4 is out of range: dimension 2 has 3 (number 2 of the index tensor; entry 3 of the key)",
      { 1, peri.newaxis, { { 3, -4 } } })
    refused("index: position 0 is out of range: dimension 1 has 2 (number 1 of the index tensor)", long { 0 })
    refused("index: position 3 is out of range: dimension 1 has 2 (number 2 of the index tensor; entry 1 of the key)",
      { long { 1, 3 }, long { 1, 2 } })
    refused("index: the mask is 3 but x is 2 there (entry 1 of the key)", { peri.tensor { true, true, false } })
    refused("index: the mask is 2 but x is 3 there (entry 3 of the key)", { 1, "...", peri.tensor { true, false }, 1 })
    refused("index: the mask is 2x4 but x is 2x3 there", peri.ones(2, 4):gt(0))
    refused("index: the mask has no dimensions", { peri.tensor(true) })
    refused("index: an index tensor is uint8 (expected int64 for positions, bool for a mask; mask:to 'bool' is one) "
      .. "(entry 2 of the key)", { 1, peri.ones(3, { dtype = "uint8" }) })
    refused("index: \"...\" stands twice in the key", { "...", 1, "..." })
    refused("positions must be whole numbers, got 'newaxs' (entry 1 of the key: a number, a range, a tensor, "
      .. "peri.newaxis or \"...\")", { "newaxs" })
    refused("index: 1.5 is no value of int64", { { { 1, 1.5 } } })
    refused("index: a range has 4 numbers (expected {}, {from, to} or {from, to, step}; a list of positions stands in "
      .. "a table of its own: {{1, 3, 5}}) (entry 2 of the key)", { 1, { 1, 2, 3, 1 } })
    refused("index: range 3 to 1 ends before it begins (a range down has a step below 0: {3, 1, -1}) (entry 2 of the "
      .. "key)", { 1, { 3, 1 } })
    refused("index: step is 0 (expected 1 or more, or -1 or less to go down) (entry 2 of the key)", { 1, { 1, 2, 0 } })
    refused("index: positions must be whole numbers, got true (a mask stands in a table of its own: {{true, false}}) "
      .. "(entry 1 of the key)", { { true, false } })
    refused("index: range 1 to 3 by -1 (expected to from 1 up to from, or from + 1 where it is empty) (entry 2 of the "
      .. "key)", { 1, { 1, 3, -1 } })
    refused("index: position 4 is out of range: dimension 2 has 3 (a range down; entry 2 of the key)",
      { 1, { 4, 1, -1 } })
    refused("index: range 2 to 0 by -1", { { 2, 0, -1 } })
    refused("index: a list of positions is one table in a table, {{1, 3, 5}}, got a table of 2", { { { 1 }, { 2 } } })
    refused("index: 4 positions for a tensor of 2x3x4", { 1, 1, 1, 1 })
    refused(": shapes 2 and 3 cannot be broadcast together", { long { 1, 2 }, long { 1, 2, 3 } })
    refused("index: a key of 18 entries (expected at most 17)", table.move({ 1, 1, 1, 1, 1, 1, 1, 1, 1 }, 1, 9, 10,
      { 1, 1, 1, 1, 1, 1, 1, 1, 1 }))
    fails("index_put_: values is 2x2 but the target is 2x4", function() x[{ { { 1, 2 } }, 1 }] = peri.ones(2, 2) end)
    assert.is_true(x:equal(before))
  end)

  it("write what shares memory with them", function()
    local x = peri.arange(1, 6):view(2, 3)
    x[{ {}, { { 3, 1, 2 } } }] = x
    assert.same({ { 2, 3, 1 }, { 5, 6, 4 } }, x:totable())
    local p = long { 3, 1, 2 }
    p[p] = p
    assert.same({ 1, 2, 3 }, p:totable())
    local q = long { 2, 3, 1 }
    q[{ q }] = 9
    assert.same({ 9, 9, 9 }, q:totable())
  end)

  it("read what is expanded, whose dimensions lie nowhere", function()
    local column = peri.arange(1, 4):reshape(4, 1)
    assert.same({ 1, 2, 4 }, column:expand(4, 5)[{ { { 1, 2, 4 } }, { { 5, 1, 3 } } }]:totable())
    assert.same({ 3, 1, 4 }, column:t():expand(5, 4)[{ { { 5, 1, 3 } }, { { 3, 1, 4 } } }]:totable())
  end)
end)

describe("rows with an index", function()
  it("go along the first dimension where none is named", function()
    local x, index = peri.arange(1, 6):reshape(3, 2), long { 3, 1 }
    local function same(a, b) assert.same(b:totable(), a:totable()) end
    same(x:index_select(index), x:index_select(1, index))
    same(x:index_copy(index, x[{ { 1, 2 } }]), x:index_copy(1, index, x[{ { 1, 2 } }]))
    same(x:index_fill(index, 7), x:index_fill(1, index, 7))
    same(x:index_add(index, x[{ { 1, 2 } }]), x:index_add(1, index, x[{ { 1, 2 } }]))
  end)
end)
