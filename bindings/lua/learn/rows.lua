-- Rows of data: X and y as a script gives them, random orders, shares.
local peri, internal, input = ...
local check = internal.check
local fail = check.fail

local rows = {}

-- X as a tensor; a table of rows becomes float64.
function rows.features(operation, name, X)
  if peri.is_tensor(X) then
    if X:dim() > 0 and #X > 0 then return X end
    fail("%s: %s has shape %s (expected 1 or more rows)", operation, name, table.concat(X.shape, "x"))
  end
  if type(X) ~= "table" or type(X[1]) ~= "table" then
    check.must_be(operation, name, X, "a tensor or a table of rows")
  end
  return peri.tensor(X, { dtype = "float64" })
end

local function all_whole(list)
  for i = 1, #list do
    if not math.tointeger(list[i]) then return false end
  end
  return true
end

-- y as a tensor; a table becomes int64 when all entries are whole, else float64. And whether these are labels.
function rows.targets(operation, name, y, n)
  local labels = false
  if not peri.is_tensor(y) then
    local list = input.list(operation, name, y)
    labels = all_whole(list)
    y = peri.tensor(list, { dtype = labels and "int64" or "float64" })
  elseif y:dim() == 0 then
    fail("%s: %s has shape () (expected an entry for each row of X)", operation, name)
  elseif y:dim() == 1 and y.dtype ~= "bool" then
    labels = all_whole(y:totable())
  end
  if #y ~= n then fail("%s: X has %d rows but %s has %d", operation, n, name, #y) end
  return y, labels
end

-- {X, y} or {x =, y =} as {x =, y =, labels = y as int64 or nil}.
function rows.pair(operation, name, value)
  if type(value) ~= "table" then
    check.must_be(operation, name, value, "{X, y}")
  end
  local x, y = value.x or value[1], value.y or value[2]
  x = rows.features(operation, "X of " .. name, x)
  local labels
  y, labels = rows.targets(operation, "y of " .. name, y, #x)
  return { x = x, y = y, labels = labels and y:to "int64" or nil }
end

-- For each row its place, from 1, in a random order; with labels, the rows of each label are together.
function rows.places(n, labels, seed) return internal.kernels.folds(n, labels, n, seed):totable() end

-- Rows in a random order; with labels, every beginning of it has each label in proportion.
function rows.order(n, labels, seed)
  local at = {}
  for row, place in ipairs(rows.places(n, labels, seed)) do at[place] = row end
  if not labels then return at end
  local list, key, first = labels:totable(), {}, 1
  for place = 1, n do
    if place == n or list[at[place]] ~= list[at[place + 1]] then
      local count = place - first + 1
      for p = first, place do key[p] = (p - first + 0.5) / count end
      first = place + 1
    end
  end
  local places = {}
  for place = 1, n do places[place] = place end
  table.sort(places, function(a, b)
    if key[a] ~= key[b] then return key[a] < key[b] end
    return a < b
  end)
  for i, place in ipairs(places) do places[i] = at[place] end
  return places
end

function rows.index(list) return peri.tensor(list, { dtype = "int64" }) end

return rows
