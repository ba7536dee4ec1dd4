-- x:describe(): the summary of a tensor's values, by column where it is a matrix.
local peri = ...

local NAMES = { "count", "mean", "std", "min", "q25", "median", "q75", "max", "nan" }
local HEADINGS = { q25 = "25%", median = "50%", q75 = "75%" }
local MOST, EDGE = 40, 5 -- columns of a matrix that are printed, else so many at each end

-- ---- text ----

local function cell(value)
  if math.type(value) == "integer" then return tostring(value) end
  return value ~= value and "nan" or ("%.5g"):format(value)
end

-- Rows of cells under each other, the first of each to the left, the others to the right.
local function aligned(rows)
  local widths, lines = {}, {}
  for _, row in ipairs(rows) do
    for i, text in ipairs(row) do widths[i] = math.max(widths[i] or 0, #text) end
  end
  for k, row in ipairs(rows) do
    local cells = {}
    for i, text in ipairs(row) do
      local space = (" "):rep(widths[i] - #text)
      cells[i] = #row == 1 and text or i == 1 and text .. space or space .. text
    end
    lines[k] = table.concat(cells, "  ")
  end
  return table.concat(lines, "\n")
end

local function of_columns(summary)
  local rows, n = { { "column" } }, #summary.count
  for i, name in ipairs(NAMES) do rows[1][i + 1] = HEADINGS[name] or name end
  for column = 1, n do
    if n <= MOST or column <= EDGE or column > n - EDGE then
      local row = { tostring(column) }
      for i, name in ipairs(NAMES) do row[i + 1] = cell(summary[name][column]) end
      rows[#rows + 1] = row
    elseif column == EDGE + 1 then
      rows[#rows + 1] = { "..." }
    end
  end
  return aligned(rows)
end

local Summary = {}
function Summary:__tostring()
  if peri.is_tensor(self.count) then return of_columns(self) end
  local rows = {}
  for i, name in ipairs(NAMES) do rows[i] = { HEADINGS[name] or name, cell(self[name]) } end
  return aligned(rows)
end
Summary.__name = "summary"

-- ---- values ----

-- The value at a part q of the way through the first `count` of sorted numbers.
local function quantile(sorted, column, count, q)
  if count == 0 then return 0 / 0 end
  local place = 1 + (count - 1) * q
  local below = math.tointeger(math.floor(place))
  local a, part = sorted[{ below, column }], place - below
  if part == 0 then return a end
  local b = sorted[{ below + 1, column }]
  return a == b and a or a + (b - a) * part -- two infinities have no difference
end

local function summarize(x)
  local missing, n = x:ne(x), #x
  local nan = missing:sum(1)
  local count = n - nan
  local mean = peri.where(missing, 0, x):sum(1) / count
  local variance = ((peri.where(missing, mean, x) - mean) ^ 2):sum(1) / (count - 1)
  local sorted, parts = x:sort(1), { min = {}, q25 = {}, median = {}, q75 = {}, max = {} }
  for column = 1, x:size(2) do
    local k = count[column]
    for name, q in pairs { min = 0, q25 = 0.25, median = 0.5, q75 = 0.75, max = 1 } do
      parts[name][column] = quantile(sorted, column, k, q)
    end
  end
  local summary = { count = count, nan = nan, mean = mean,
                    std = peri.where(count:lt(2), 0 / 0, variance:sqrt()) }
  for name, list in pairs(parts) do summary[name] = peri.tensor(list, { dtype = "float64" }) end
  return summary
end

return function(x)
  local summary = peri.no_grad(function()
    local values = x:detach():to "float64"
    return summarize(x:dim() == 2 and values or values:reshape(-1, 1))
  end)
  if x:dim() ~= 2 then
    for name, list in pairs(summary) do summary[name] = list[1] end
  end
  return setmetatable(summary, Summary)
end
