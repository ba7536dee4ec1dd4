-- A value in the forms that a notebook shows: {["text/plain"] = .., ["text/html"] = .., ["image/svg+xml"] = ..}.
-- Tensors of one or two dimensions, confusion matrices, searches and other values whose text is a table become tables.
local host = ...
local text_of = host.load "internal.text"

local ENTITIES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;" }

local function escape(text) return (text:gsub("[&<>]", ENTITIES)) end

local MOST, EDGE = 20, 8 -- rows or columns that are shown; of more, so many at each end

-- The indices that are shown of n, 0 for what is left out.
local function shown(n)
  local list = {}
  for i = 1, n do
    if n <= MOST or i <= EDGE or i > n - EDGE then list[#list + 1] = i elseif i == EDGE + 1 then list[#list + 1] = 0 end
  end
  return list
end

local function number(value)
  if math.type(value) ~= "float" then return tostring(value) end
  return (value == math.floor(value) and "%.6g" or "%.4g"):format(value)
end

local function table_of(rows, note)
  local parts = { "<table>" }
  for _, row in ipairs(rows) do
    local cells = {}
    for i, cell in ipairs(row) do
      local tag = (row.head or row.named and i == 1) and "th" or "td"
      cells[i] = ("<%s>%s</%s>"):format(tag, escape(cell), tag)
    end
    parts[#parts + 1] = "<tr>" .. table.concat(cells) .. "</tr>"
  end
  parts[#parts + 1] = "</table>" .. (note and "<p><small>" .. escape(note) .. "</small></p>" or "")
  return table.concat(parts)
end

local function of_tensor(x)
  if x:dim() ~= 1 and x:dim() ~= 2 or x:numel() == 0 then return nil end
  local matrix = x:detach()
  if x:dim() == 1 then matrix = matrix:reshape(1, -1) end
  local columns, rows = shown(matrix.shape[2]), {}
  for _, i in ipairs(shown(matrix.shape[1])) do
    local cells = {}
    for k, j in ipairs(columns) do
      cells[k] = (i == 0 or j == 0) and (i == 0 and "⋮" or "…") or number(matrix[{ i, j }])
    end
    rows[#rows + 1] = cells
  end
  return table_of(rows, ("%s %s"):format(x.dtype, table.concat(x.shape, "x")))
end

-- A text in columns that two blanks part, the first line their names.
local function of_columns(text)
  local rows, width = {}, nil
  for line in text:gmatch "[^\n]+" do
    local row = { head = #rows == 0, named = true }
    for cell in (line .. "  "):gmatch "(%S.-)%s%s+" do row[#row + 1] = cell end
    width = width or #row
    if #row ~= width or width < 2 then return nil end
    rows[#rows + 1] = row
  end
  return #rows > 1 and table_of(rows) or nil
end

local pictures = 0

-- An SVG as a part of a page: without a head, and with names that no other picture of the page has.
local function as_element(svg)
  pictures = pictures + 1
  local prefix = ("p%d-"):format(pictures)
  return (svg:gsub("^.-(<svg)", "%1", 1):gsub("(%sid=['\"])", "%1" .. prefix):gsub("(href=['\"]#)", "%1" .. prefix)
    :gsub("(url%(['\"]?#)", "%1" .. prefix))
end

-- A picture as HTML, which front ends prefer: what an SVG calls its parts stays within an <img>, and nbconvert, which
-- takes the parts out of an SVG, leaves that alone.
local function as_image(internal, svg)
  local head = svg:match "<svg[^>]*>" or ""
  local title = svg:match "<title>([^<]*)</title>" or ""
  local width, height = head:match '%swidth="([%d.]+)' or "640", head:match '%sheight="([%d.]+)' or "480"
  return ('<img src="data:image/svg+xml;base64,%s" width="%s" height="%s" alt="%s" style="%s">'):format(
    internal.base64(svg), width, height, (title:gsub('"', "&quot;")), "max-width: 100%; height: auto")
end

local TABLES = { confusion = true, search = true, curve = true, grid = true }

-- The forms of one value.
return function(value)
  local peri, internal = package.loaded.perilune, debug.getregistry()["perilune.internal"]
  local bundle = { ["text/plain"] = text_of(value, host.columns()) }
  if not internal then return bundle end
  local kind = peri.type(value)
  if kind == "tensor" then
    bundle["text/html"] = of_tensor(value)
  elseif internal.picture and internal.picture(value) then
    local drawn = internal.picture(value, { "svg", "png" })
    bundle["image/svg+xml"], bundle["image/png"] = as_element(drawn.svg), internal.base64(drawn.png)
    bundle["text/html"] = as_image(internal, drawn.svg)
  elseif TABLES[kind or ""] then
    bundle["text/html"] = of_columns(bundle["text/plain"])
  end
  return bundle
end
