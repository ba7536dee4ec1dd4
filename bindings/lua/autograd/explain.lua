-- The graph behind a tensor, as a tree of text and as a picture.
local peri, internal = ...
local check = internal.check
local own = internal.autograd
local fail, kinds = check.fail, check.kinds

local OPTIONS = { format = check.one_of "text svg", path = kinds.string, net = check.test("a layer",
  function(v) return peri.type(v) == "layer" end) }

-- ---- what there is to say ----

-- "-1.2 to 3.4" of the elements of floats; what is not finite is counted.
local function range(x)
  if not x or x:numel() == 0 or not x.dtype:find "^float" then return nil end
  local finite = x:isfinite()
  local bad = x:numel() - finite:sum():item()
  if bad == x:numel() then return "no finite values" end
  local some = bad > 0 and x[finite] or x
  local low, high = some:min(), some:max()
  if peri.is_tensor(low) then low, high = low:item(), high:item() end
  local text = low == high and ("%.4g"):format(low) or ("%.4g to %.4g"):format(low, high)
  return bad > 0 and ("%s, %d not finite"):format(text, bad) or text
end

local function size(entry)
  return ("%s %s"):format(entry.dtype, #entry.shape > 0 and table.concat(entry.shape, "x") or "()")
end

-- The nodes and leaves as boxes, root first: {title =, lines = {..}, inputs = {{box, name}, ..}}.
local function boxes_of(root, names)
  local nodes, boxes, leaves = own.graph(root), {}, {}
  local values, sizes = {}, {}
  if #nodes > 0 then sizes[1] = { dtype = root.dtype, shape = root.shape } end
  values[1] = root:detach()
  for i, node in ipairs(nodes) do
    values[i] = values[i] or node.value
    for _, edge in ipairs(node.edges) do
      if edge and edge.node and edge.output == 1 then
        sizes[edge.node] = sizes[edge.node] or edge
        values[edge.node] = values[edge.node] or edge.value
      end
    end
  end
  local function leaf_box(x)
    if not leaves[x] then
      local grad = x.grad
      leaves[x] = { title = names[x] or "leaf", inputs = {}, lines = { size { dtype = x.dtype, shape = x.shape },
        range(x:detach()), grad and ("gradient: norm %.4g"):format(grad:norm():item()) or "no gradient yet" } }
      boxes[#boxes + 1] = leaves[x]
    end
    return leaves[x]
  end
  local made = {}
  for i in ipairs(nodes) do
    made[i] = { inputs = {}, lines = {} }
    boxes[i] = made[i]
  end
  for i, node in ipairs(nodes) do
    local box = made[i]
    box.title = node.op
    box.lines[1] = sizes[i] and size(sizes[i]) or nil
    box.lines[#box.lines + 1] = range(values[i])
    box.lines[#box.lines + 1] = node.where
    for _, edge in ipairs(node.edges) do
      if edge and edge.node then
        box.inputs[#box.inputs + 1] = { made[edge.node], edge.name, edge.output }
      elseif edge and edge.leaf then
        box.inputs[#box.inputs + 1] = { leaf_box(edge.leaf), edge.name }
      elseif edge and edge.value then
        local constant = { title = "constant", inputs = {}, lines = { size(edge), range(edge.value) } }
        boxes[#boxes + 1] = constant
        box.inputs[#box.inputs + 1] = { constant, edge.name }
      end
    end
  end
  if #nodes == 0 then return { leaf_box(root) } end
  return boxes
end

-- ---- text ----

local DEEPEST = 100 -- levels that are indented; what lies deeper stands below by its number, so that lines stay short

-- Without recursion: a graph may be deeper than Lua's stack.
local function text_of(boxes)
  local lines, numbers, count, below, at = {}, {}, 0, {}, 1
  local function number(box)
    count = count + 1
    numbers[box] = count
  end
  local uses = {}
  for _, box in ipairs(boxes) do
    for _, input in ipairs(box.inputs) do uses[input[1]] = (uses[input[1]] or 0) + 1 end
  end
  local stack = { { boxes[1], "", "", 0, nil } }
  while #stack > 0 or below[at] do
    local box, lead, indent, depth, name
    local begins = #stack == 0
    if begins then
      box, lead, indent, depth = below[at], "", "", 0
      at = at + 1
    else
      box, lead, indent, depth, name = table.unpack(table.remove(stack), 1, 5)
    end
    local label = name and name .. " = " or ""
    if not numbers[box] and depth == DEEPEST and #box.inputs > 0 then
      number(box)
      below[#below + 1] = box
    end
    if numbers[box] and not begins then
      lines[#lines + 1] = ("%s%s%s: see [%d]"):format(lead, label, box.title, numbers[box])
    else
      if (uses[box] or 0) > 1 and not numbers[box] then number(box) end
      local mark = numbers[box] and (" [%d]"):format(numbers[box]) or ""
      lines[#lines + 1] = ("%s%s%s%s  %s"):format(lead, label, box.title, mark, table.concat(box.lines, "; "))
      for i = #box.inputs, 1, -1 do
        local last = i == #box.inputs
        local input = box.inputs[i]
        stack[#stack + 1] = { input[1], indent .. (last and "`- " or "|- "), indent .. (last and "   " or "|  "),
          depth + 1, input[2] }
      end
    end
  end
  return table.concat(lines, "\n")
end

-- ---- a picture ----

local WIDTH, GAP, LINE = 250, 24, 15

-- The longest way from the root, which is the row that a box stands in.
local function levels_of(boxes)
  local waiting, level = {}, {}
  for _, box in ipairs(boxes) do
    level[box] = 0
    for _, input in ipairs(box.inputs) do waiting[input[1]] = (waiting[input[1]] or 0) + 1 end
  end
  local ready, at = { boxes[1] }, 1
  while ready[at] do
    for _, input in ipairs(ready[at].inputs) do
      local below = input[1]
      level[below] = math.max(level[below], level[ready[at]] + 1)
      waiting[below] = waiting[below] - 1
      if waiting[below] == 0 then ready[#ready + 1] = below end
    end
    at = at + 1
  end
  return level
end

local function escape(text) return (text:gsub("[&<>\"]", { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;",
  ["\""] = "&quot;" })) end

local function cut(text) return #text > 38 and text:sub(1, 36) .. ".." or text end

local function svg_of(boxes)
  local level, rows, place = levels_of(boxes), {}, {}
  local deepest, widest = 0, 1
  for _, box in ipairs(boxes) do
    local row = rows[level[box]] or { height = 0 }
    rows[level[box]] = row
    row[#row + 1] = box
    row.height = math.max(row.height, (#box.lines + 1) * LINE + 12)
    deepest, widest = math.max(deepest, level[box]), math.max(widest, #row)
  end
  local y, out = GAP, {}
  for depth = 0, deepest do
    for i, box in ipairs(rows[depth]) do
      place[box] = { x = GAP + (i - 1) * (WIDTH + GAP), y = y, height = (#box.lines + 1) * LINE + 12 }
    end
    y = y + rows[depth].height + 2 * GAP
  end
  out[1] = ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="11">')
    :format(GAP + widest * (WIDTH + GAP), y)
  out[2] = '<rect width="100%" height="100%" fill="white"/>'
  for _, box in ipairs(boxes) do
    local from = place[box]
    for i, input in ipairs(box.inputs) do
      local to = place[input[1]]
      local x = from.x + WIDTH * i / (#box.inputs + 1)
      out[#out + 1] = ('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="#888888"/>'):format(x,
        from.y + from.height, to.x + WIDTH / 2, to.y)
      out[#out + 1] = ('<text x="%.1f" y="%.1f" fill="#666666">%s</text>'):format(x + 3, from.y + from.height + 11,
        escape(input[2] or ""))
    end
  end
  for _, box in ipairs(boxes) do
    local at = place[box]
    out[#out + 1] = ('<rect x="%.1f" y="%.1f" width="%d" height="%d" rx="4" fill="%s" stroke="#444444"/>'):format(at.x,
      at.y, WIDTH, at.height, #box.inputs > 0 and "#eef3fa" or "#eef7ea")
    out[#out + 1] = ('<text x="%.1f" y="%.1f" font-weight="bold">%s</text>'):format(at.x + 8, at.y + LINE + 1,
      escape(cut(box.title)))
    for i, line in ipairs(box.lines) do
      out[#out + 1] = ('<text x="%.1f" y="%.1f">%s</text>'):format(at.x + 8, at.y + (i + 1) * LINE + 1,
        escape(cut(line)))
    end
  end
  out[#out + 1] = "</svg>\n"
  return table.concat(out, "\n")
end

-- ---- the function ----

internal.document("explain", [[
explain(x, {format = "text", path =, net =}) -> text
How x was computed, as far as gradients go: a tree of the operations and of the leaves at their ends, root first, with
shapes and dtypes, the range of values where they are still there, the norm of each leaf's gradient, and the line of the
script where anomalies were being detected (set_detect_anomaly). What several operations use stands once, with a number,
and so does, below, what is more than 100 levels deep.
format "svg" gives a picture; path is a file that is written too, and its name's .svg asks for a picture by itself. With
net leaves are called as its parameters are.
A layer and the activation behind it that a Sequential computes at once are one operation, as linear + tanh.
Errors: a graph that an earlier backward has freed (pass retain_graph = true there); a tensor without graph; a path that
ends as another kind of picture does.]],
  function(x, options)
    options = check.options("explain", options, OPTIONS)
    if not peri.is_tensor(x) then check.must_be("explain", "x", x, "a tensor") end
    if not x.requires_grad then
      fail("explain: x does not require grad and was not computed from what does (there is no graph)")
    end
    local names = {}
    if options.net then
      for name, p in options.net:named_parameters() do names[p] = name end
    end
    local ending = options.path and options.path:match "%.(%w+)$"
    if ending and (" png pdf jpg jpeg gif "):find(" " .. ending:lower() .. " ", 1, true) then
      fail("explain: path is %s (expected a name that ends in .svg, or in .txt for text)", check.describe(options.path))
    end
    local format = options.format or (ending == "svg" and "svg") or "text"
    local text = peri.no_grad(function()
      local boxes = boxes_of(x, names)
      return format == "svg" and svg_of(boxes) or text_of(boxes)
    end)
    if options.path then
      local written, problem = internal.process.write(options.path, format == "text" and text .. "\n" or text)
      if not written then fail("explain: %s", problem) end
    end
    return text
  end, peri)
