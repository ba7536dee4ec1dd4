-- What a training has measured: for each measure, learning_rate and seconds, a number for each epoch.
--
-- Epochs come one by one, or many at once as sums that C has written (data_epoch in bindings/data/epoch.h); those are
-- made into measures in the end, so that nothing is computed where an error or Ctrl-C has just come.
local peri, measures = ...

local History = {}
History.__index = History

local function new() return setmetatable({ n = 0, pieces = {} }, History) end

local function is_kept(name, value)
  return math.type(value) and (name:find "^train_" or name:find "^dev_" or name == "learning_rate" or name == "seconds")
end

-- An epoch, as the functions of the script see it.
function History:add(state)
  local piece = self.pieces[#self.pieces]
  if not piece or piece.sums then
    piece = { n = 0, columns = {} }
    self.pieces[#self.pieces + 1] = piece
  end
  piece.n, self.n = piece.n + 1, self.n + 1
  local columns = piece.columns
  for name, value in pairs(state) do
    if is_kept(name, value) then
      local column = columns[name]
      if not column then
        column = {}
        columns[name] = column
      end
      column[piece.n] = value
    end
  end
end

-- The next n epochs, sums of which stand in the first columns of `sums` (measures.of_sums), with the learning rate;
-- they were trained between two times. When each ended is not known: they take equally long.
function History:add_sums(job, n, sums, rate, from, to)
  self.pieces[#self.pieces + 1] = { n = n, sums = sums, job = job, rate = rate, from = from, to = to }
  self.n = self.n + n
end

-- The measures of such epochs, as tensors by name.
local function columns_of(piece)
  local n = piece.n
  local columns = measures.of_sums(piece.job, piece.sums[{ {}, { 1, n } }])
  columns.seconds = peri.arange(1, n, { dtype = "float64" }):mul_((piece.to - piece.from) / n):add_(piece.from)
  if piece.rate then columns.learning_rate = peri.full({ n }, piece.rate, { dtype = "float64" }) end
  return columns
end

-- float64 tensors by name, of what the first epoch has.
function History:tensors()
  local lists, result = {}, {}
  for i, piece in ipairs(self.pieces) do
    for name, column in pairs(piece.sums and columns_of(piece) or piece.columns) do
      if i == 1 then lists[name] = {} end
      if type(column) == "table" then column = peri.tensor(column, { dtype = "float64" }) end
      if lists[name] then table.insert(lists[name], column) end
    end
  end
  for name, list in pairs(lists) do result[name] = #list == 1 and list[1] or peri.cat(list, 1) end
  return result
end

-- The history that tensors() of another one gave.
local function of_tensors(tensors)
  local history, columns, n = new(), {}, 0
  for name, column in pairs(tensors) do
    if is_kept(name, 0) then columns[name], n = column:totable(), #column end
  end
  if n > 0 then history.pieces[1] = { n = n, columns = columns } end
  history.n = n
  return history
end

return { new = new, of_tensors = of_tensors }
