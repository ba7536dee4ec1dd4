-- Where mini-batches come from: rows that are cut here, a data.loader, a list of batches, or a function that gives an
-- iterator for each epoch.
--
-- A source has each(epoch, skip), the three values of a `for` that gives x, y, w of the epoch's batches after the first
-- `skip`; rows and batches, how many an epoch has, where that is known; state() and go_to(state) where it can be set
-- within an epoch, without which skipped batches are made and dropped.
local peri, internal, data = ...
local check = internal.check
local fail, describe = check.fail, check.describe

local batches = {}

-- ---- a loader ----

local Loaded = {}
Loaded.__index = Loaded

-- The order that a loader goes on with is its own: `skip` are batches that go_to has left out.
function Loaded:each(_, skip)
  if skip > 0 and skip >= #self.loader then return function() end end -- all were given
  if not self.read then return self.loader, nil, nil end
  local loader, control, read = self.loader, nil, self.read
  return function()
    local x, y, w = loader(nil, control)
    control = x
    if x == nil then return nil end
    return read(x, y, w)
  end
end

function Loaded:state() return self.loader:state_dict() end
function Loaded:go_to(state) self.loader:load_state_dict(state) end

-- read(x, y, w), if given, makes of a batch what the model takes.
function batches.of_loader(loader, rows, read)
  return setmetatable({ loader = loader, rows = rows, batches = #loader, read = read }, Loaded)
end

-- ---- a list, or a function ----

local Given = {}
Given.__index = Given

local function list_iterator(list)
  local i = 0
  return function()
    i = i + 1
    local batch = list[i]
    if batch == nil then return nil end
    if type(batch) ~= "table" then fail("fit: batch %d is %s (expected {x, y})", i, describe(batch)) end
    return batch[1], batch[2], batch[3]
  end
end

function Given:iterator(epoch)
  if type(self.given) == "table" then return list_iterator(self.given) end
  local f, s, control = self.given(epoch)
  if not check.is_callable(f) and peri.type(f) ~= "loader" then
    fail("fit: %s's function gives %s (expected an iterator, which gives x and y of each mini-batch of the epoch: " ..
      "function(epoch) return coroutine.wrap(..) end)", self.name, describe(f))
  end
  return function()
    local x, y, w = f(s, control)
    control = x
    return x, y, w
  end
end

function Given:each(epoch, skip)
  local next_batch, n = self:iterator(epoch), 0
  while n < skip and next_batch() ~= nil do n = n + 1 end
  return function()
    local x, y, w = next_batch()
    if x == nil then return nil end
    n = n + 1
    return self.read(x, y, w, n)
  end
end

-- `name` ('train', 'dev') is what messages call the set.
function batches.given(name, given, read)
  local length = type(given) == "table" and #given or nil
  return setmetatable({ name = name, given = given, batches = length, read = read }, Given)
end

-- ---- what a batch holds ----

-- A function that makes of x, y, w what the model, of a dtype, takes: rows, labels as positions in classes (nil:
-- numbers as n x m), weights. `set` is what messages call the rows.
function batches.reader(where, set, dtype, classes)
  return function(x, y, w, n)
    local of = n and ("%s's batch %d: "):format(set, n) or set .. "'s "
    local rows = data.rows(where, of .. "x", x, dtype)
    if w ~= nil then w = data.batch_weights(where, of .. "w", w, #rows, dtype) end
    if not classes then return rows, data.targets(where, of .. "y", y, #rows, dtype), w end
    return rows, data.positions(where, of .. "y", data.labels(where, of .. "y", y, #rows), classes), w
  end
end

return batches
