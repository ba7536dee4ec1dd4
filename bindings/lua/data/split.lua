-- data.split: rows into train, dev and test.
local peri, internal, input, rows = ...
local check = internal.check
local fail = check.fail

local PARTS = { "train", "dev", "test" }

-- The sizes asked for: up to 1 a share of n, above a count; train is the rest when it is left out.
local function read_sizes(options, n)
  local sizes, names, before, ends = {}, {}, 0, 0.0
  for _, name in ipairs(PARTS) do
    if options[name] ~= nil then check.read("split", name, options[name], input.SHARE) end
  end
  if options.dev == nil and options.test == nil then
    fail "split: neither dev nor test is given (expected one of them, or both)"
  end
  local function share(name)
    local value = options[name]
    return value > 1 and value / n or value + 0.0
  end
  local train = options.train and share "train"
  if not train then
    train = 1.0
    for _, name in ipairs { "dev", "test" } do
      if options[name] then train = train - share(name) end
    end
    if train <= 0 then fail("split: dev and test leave nothing for train (of %d rows)", n) end
  end
  for _, name in ipairs(PARTS) do
    if name == "train" or options[name] then
      ends = ends + (name == "train" and train or share(name))
      local upto = math.floor(ends * n + 0.5)
      names[#names + 1], sizes[#sizes + 1] = name, upto - before
      if upto > n then fail("split: the parts add up to %.6g of %d rows", ends * n, n) end
      if upto == before then fail("split: %s would have no row (of %d)", name, n) end
      before = upto
    end
  end
  return names, sizes
end

-- Deals a sequence of n rows to parts of the given sizes so that every stretch of it is shared in proportion.
local function deal(n, sizes)
  local given, part, total = {}, {}, 0
  for p, size in ipairs(sizes) do
    given[p] = 0
    total = total + size
  end
  sizes = { table.unpack(sizes) }
  sizes[#sizes + 1], given[#given + 1] = n - total, 0
  for i = 1, n do
    local best, most
    for p, size in ipairs(sizes) do
      local lack = size * i - given[p] * n
      if given[p] < size and (not most or lack > most) then best, most = p, lack end
    end
    given[best] = given[best] + 1
    part[i] = best
  end
  return part
end

-- The rows of each part, in a random order.
local function stratified(n, labels, sizes, seed)
  local list, at, counts = labels:totable(), {}, {}
  for row, place in ipairs(rows.places(n, labels, seed)) do at[place] = row end
  for _, label in ipairs(list) do counts[label] = (counts[label] or 0) + 1 end
  for _, label in ipairs(list) do
    if counts[label] < 2 then fail("split: class %d has one row (stratify expects at least 2)", label) end
  end
  local part_of, members = {}, {}
  for place, part in ipairs(deal(n, sizes)) do part_of[at[place]] = part end
  for p = 1, #sizes + 1 do members[p] = {} end
  for _, row in ipairs(rows.order(n, nil, seed)) do
    local list_of_part = members[part_of[row]]
    list_of_part[#list_of_part + 1] = row
  end
  return members
end

local function in_turn(n, sizes, seed, shuffle)
  local order, members, first = {}, {}, 1
  if shuffle then
    order = rows.order(n, nil, seed)
  else
    for i = 1, n do order[i] = i end
  end
  for p, size in ipairs(sizes) do
    members[p] = table.move(order, first, first + size - 1, 1, {})
    first = first + size
  end
  return members
end

local function read_tensors(tensors)
  if type(tensors) ~= "table" then
    check.must_be("split", "the first argument", tensors, "a table of tensors")
  end
  local x = tensors.x or tensors[1]
  local list = tensors.x and { x, tensors.y } or table.move(tensors, 1, #tensors, 1, {})
  if #list == 0 then fail "split: there is no tensor to split" end
  for i, tensor in ipairs(list) do
    if not peri.is_tensor(tensor) then
      check.must_be("split", ("entry %d"):format(i), tensor, "a tensor")
    end
    if tensor:dim() == 0 or #tensor ~= #list[1] then
      fail("split: entry %d is %s but entry 1 has %d rows", i, check.describe(tensor), #list[1])
    end
  end
  return list, #list[1]
end

local function split(tensors, options)
  options = check.only("split", options, "dev seed shuffle stratify test train")
  local list, n = read_tensors(tensors)
  local seed = check.whole("split", "seed", options.seed or 0, 0)
  local shuffle = check.flag("split", "shuffle", options.shuffle, true)
  local stratify = check.flag("split", "stratify", options.stratify, false)
  local names, sizes = read_sizes(options, n)
  local members
  if stratify then
    if not shuffle then fail "split: stratify needs shuffle" end
    if list[2] == nil then fail "split: stratify needs labels as the second tensor" end
    local labels = rows.index(input.labels("split", "y", list[2]))
    members = stratified(n, labels, sizes, seed)
  else
    members = in_turn(n, sizes, seed, shuffle)
  end
  local result = {}
  for p, name in ipairs(names) do
    local part = { index = rows.index(members[p]) }
    for i, tensor in ipairs(list) do part[i] = tensor[part.index] end
    part.x, part.y = part[1], part[2]
    result[name] = part
  end
  return result
end

return { split = split }
