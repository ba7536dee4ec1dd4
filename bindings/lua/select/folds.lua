-- KFold and StratifiedKFold: which rows are held out when.
local _, internal, input, rows = ...
local check = internal.check
local fail = check.fail

local Splitter = {}
Splitter.__index = Splitter

local function rows_of(operation, X)
  if math.type(X) then return check.whole(operation, "the number of rows", X, 1) end
  return #rows.features(operation, "X", X)
end

-- Contiguous folds, the first n % folds of them one larger.
local function in_turn(n, folds)
  local fold, size, larger = {}, n // folds, n % folds
  for f = 1, folds do
    for _ = 1, size + (f <= larger and 1 or 0) do fold[#fold + 1] = f end
  end
  return rows.index(fold)
end

local function largest_class(labels)
  local counts, most = {}, 0
  for _, label in ipairs(labels:totable()) do
    counts[label] = (counts[label] or 0) + 1
    most = math.max(most, counts[label])
  end
  return most
end

-- For each of n rows its fold, and how many there are; labels (int64) are there for StratifiedKFold.
local function assign(self, operation, n, labels)
  local count, seed = check.whole(operation, "folds", self.folds, 2), check.whole(operation, "seed", self.seed, 0)
  if count > n then fail("%s: folds is %d but X has %d rows", operation, count, n) end
  if not self.stratified then
    return self.shuffle and internal.kernels.folds(n, nil, count, seed) or in_turn(n, count), count
  end
  local most = largest_class(labels)
  if most < count then fail("%s: folds is %d but no class has more than %d rows", operation, count, most) end
  return internal.kernels.folds(n, labels, count, seed), count
end

Splitter.split = check.guard("split", function(self, X, y)
  check.called("split", getmetatable(self) == Splitter, self, "m:split(X, y)")
  local operation = self.name .. ".split"
  local n, labels = rows_of(operation, X), nil
  if self.stratified then
    labels = input.labels(operation, "y", y)
    if #labels ~= n then fail("%s: X has %d rows but y has %d labels", operation, n, #labels) end
    labels = rows.index(labels)
  end
  local fold, count = assign(self, operation, n, labels)
  local f = 0
  return function()
    f = f + 1
    if f > count then return nil end
    return fold:ne(f):nonzero(), fold:eq(f):nonzero()
  end
end)

Splitter.__tostring = check.guard("tostring", function(self)
  local shuffle = self.stratified and "" or (", shuffle = %s"):format(self.shuffle)
  return ("%s{folds = %d%s, seed = %d}"):format(self.name, self.folds, shuffle, self.seed)
end)

local function new(name, options, known)
  options = check.only(name, options, known)
  return setmetatable({
    name = name, folds = check.whole(name, "folds", options.folds or 5, 2),
    seed = check.whole(name, "seed", options.seed or 0, 0),
  }, Splitter)
end

local folds = { class = Splitter }

function folds.KFold(options)
  local self = new("KFold", options, "folds seed shuffle")
  self.shuffle = check.flag("KFold", "shuffle", options and options.shuffle, true)
  return self
end

function folds.StratifiedKFold(options)
  local self = new("StratifiedKFold", options, "folds seed")
  self.stratified = true
  return self
end

-- The folds that option cv asks for: a number of them (spread by label where y has whole numbers of which one comes
-- that often) or a splitter. Gives the fold of each row, and how many there are.
function folds.read(operation, cv, seed, pair)
  local splitter = cv
  if getmetatable(cv) ~= Splitter then
    if not math.type(cv) then
      check.must_be(operation, "cv", cv, "a number of folds, KFold or StratifiedKFold")
    end
    local options = { folds = check.whole(operation, "cv", cv, 2), seed = seed }
    local spread = pair.labels and largest_class(pair.labels) >= cv
    splitter = spread and folds.StratifiedKFold(options) or folds.KFold(options)
  end
  if splitter.stratified and not pair.labels then
    fail("%s: StratifiedKFold needs labels, but y has numbers that are not whole", operation)
  end
  return assign(splitter, operation, #pair.x, pair.labels)
end

return folds
