-- What specs of pictures need: what gnuplot is told, what a text holds, and a folder for files.
local assert = require "luassert"
local process = require "support.internal".process

local pictures = { folder = {} }

--- The commands that gnuplot is given for a picture, and its arguments; it is not run, and nothing is written.
function pictures.commands_of(picture, path)
  local run_all, write, seen = process.run_all, process.write, nil
  process.run_all = function(jobs)
    seen = jobs
    return { { status = 0, stdout = "picture", stderr = "" } }
  end
  process.write = function() return true end
  local ok, message = pcall(picture.save, picture, path or "picture.png")
  process.run_all, process.write = run_all, write
  if not ok then error(message, 0) end
  return seen[1].input, seen[1].argv
end

function pictures.has(text, part) assert.is_truthy(text:find(part, 1, true), ("no '%s' in: %s"):format(part, text)) end

function pictures.lacks(text, part) assert.is_nil(text:find(part, 1, true)) end

--- What a tensor is to plot: anything with totable.
function pictures.tensor(values) return { totable = function() return values end } end

--- What a model predicts for points: negative within the unit circle.
function pictures.parabola(points)
  local values = {}
  for i, row in ipairs(points:totable()) do values[i] = row[1] ^ 2 + row[2] ^ 2 - 1 end
  return values
end

--- The layers of one kind ("line", "scatter", ...): what a figure's method of that name has added.
function pictures.layers_of(figure, name)
  local list = {}
  for _, layer in ipairs(figure.layers) do if layer.kind == name then list[#list + 1] = layer end end
  return list
end

--- The names in a figure's legend.
function pictures.labels_of(figure)
  local labels = {}
  for _, layer in ipairs(figure.layers) do
    for _, label in ipairs(layer.labels) do labels[#labels + 1] = label ~= "" and label or nil end
  end
  return labels
end

-- ---- a folder for the files of a spec, from folder.make to folder.remove ----

local folder, path, made = pictures.folder, nil, {}

function folder.make()
  path, made = os.tmpname(), {}
  os.remove(path)
  assert(process.mkdir(path))
end

--- The path of a file in it, or of the folder.
function folder.file(name) return name and path .. "/" .. name or path end

--- Names of files that are to be removed with the folder; gives them back.
function folder.made(...)
  for _, name in ipairs { ... } do made[#made + 1] = folder.file(name) end
  return ...
end

function folder.content(name)
  local f = assert(io.open(folder.file(name), "rb"))
  local bytes = f:read "a"
  f:close()
  return bytes
end

function folder.exists(name)
  local f = io.open(folder.file(name))
  if f then f:close() end
  return f ~= nil
end

function folder.remove()
  folder.made("picture.png", "picture.svg", "picture.txt", "picture.pdf")
  for _, name in ipairs(made) do os.remove(name) end
  assert(os.remove(path))
end

return pictures
