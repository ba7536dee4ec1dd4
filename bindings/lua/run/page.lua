-- One page of HTML from the records of runs: curves, what they were made with, figures, and runs beside each other.
local internal, html, reader = ...
local escape, shown = html.escape, reader.shown

local MOST = 8 -- runs whose curves are drawn: the latest

local function picture(figure, name)
  local bytes = internal.picture(figure, { "svg" }).svg
  return html.figure({ name = name, format = "svg", bytes = bytes }, (name:gsub("[^%w_-]", "_")))
end

local function read_picture(path)
  local bytes = internal.process.read(path)
  local name, format = path:match "([^/]+)%.(%a+)$"
  return bytes and #bytes > 0 and { name = name, format = format, bytes = bytes } or nil
end

local function table_of(rows)
  local parts = { '<div class="scroll" tabindex="0" role="region" aria-label="table"><table>\n' }
  for i, row in ipairs(rows) do
    local cells = {}
    for j, cell in ipairs(row) do
      local tag = i == 1 and "th" or j == 1 and 'th scope="row"' or "td"
      cells[j] = ("<%s>%s</%s>"):format(tag, escape(cell), tag:match "%a+")
    end
    parts[#parts + 1] = "<tr>" .. table.concat(cells) .. "</tr>\n"
  end
  parts[#parts + 1] = "</table></div>\n"
  return table.concat(parts)
end

local STYLE = [[
<style>.scroll { overflow-x: auto; margin: 1rem 0; } table { border-collapse: collapse; font-size: .875rem; }
th, td { text-align: left; padding: .3rem .8rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
td { font-variant-numeric: tabular-nums; }</style>
]]

-- The last row that has a number, of each measure.
local function last_values(record, measures)
  local cells = {}
  for i, name in ipairs(measures) do
    local value
    for _, row in ipairs(record.rows) do
      if type(row[name]) == "number" then value = row[name] end
    end
    cells[i] = shown(value)
  end
  return cells
end

local function overview(comparison)
  local head = { "run", "status", "steps" }
  table.move(comparison.differing, 1, #comparison.differing, #head + 1, head)
  table.move(comparison.measures, 1, #comparison.measures, #head + 1, head)
  head[#head + 1] = "seconds"
  local rows = { head }
  for i, record in ipairs(comparison) do
    local row = { comparison.labels[i], shown(record.status), shown(#record.rows) }
    for _, name in ipairs(comparison.differing) do row[#row + 1] = shown(record.config[name]) end
    for _, cell in ipairs(last_values(record, comparison.measures)) do row[#row + 1] = cell end
    row[#row + 1] = shown(record.seconds)
    rows[i + 1] = row
  end
  return table_of(rows)
end

local function configuration(record)
  local rows, names = { { "name", "value" } }, {}
  for name in pairs(record.config) do names[#names + 1] = name end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for _, name in ipairs(names) do rows[#rows + 1] = { tostring(name), shown(record.config[name]) } end
  for _, name in ipairs { "seed", "started", "script", "error" } do
    if record[name] ~= nil then rows[#rows + 1] = { name, shown(record[name]) } end
  end
  return table_of(rows)
end

local function curves(comparison)
  local parts = {}
  for _, measure in ipairs(comparison.measures) do
    local some = false
    for _, record in ipairs(comparison) do some = some or record.history[measure] and #record.rows > 1 end
    if some then
      local options = { title = measure, xlabel = "step", ylabel = measure, width = 560, height = 380 }
      parts[#parts + 1] = picture(comparison:plot(measure, options), measure)
    end
  end
  if #parts == 0 then return '<p class="soft">No measure has two steps yet.</p>\n' end
  return '<div class="figures">\n' .. table.concat(parts) .. "</div>\n"
end

local function section(comparison, i)
  local record, parts = comparison[i], {}
  parts[1] = ('<section id="run-%d">\n<h2>%s</h2>\n'):format(i, escape(comparison.labels[i]))
  local problem = record.error and html.printed(tostring(record.error), ' class="bad"', "what went wrong") or ""
  parts[2] = ('<p class="soft">%s, %d steps, %s s</p>\n%s'):format(escape(shown(record.status)), #record.rows,
    escape(shown(record.seconds)), problem)
  parts[3] = configuration(record)
  local figures = {}
  for _, path in ipairs(record.figures) do
    local found = read_picture(path)
    local id = found and ("run-%d.%s"):format(i, (found.name:gsub("[^%w_-]", "_")))
    if found then figures[#figures + 1] = html.figure(found, id) end
  end
  if #figures > 0 then parts[4] = '<div class="figures">\n' .. table.concat(figures) .. "</div>\n" end
  parts[#parts + 1] = "</section>\n"
  return table.concat(parts)
end

-- paths: of runs, the oldest first.
return function(title, paths)
  local all = reader.compare(paths)
  local latest = reader.compare { table.unpack(all, math.max(1, #all - MOST + 1)) }
  local running = 0
  for _, record in ipairs(all) do running = running + (record.status == "running" and 1 or 0) end
  local facts = ("%d runs, %d of them running. Written %s."):format(#all, running, os.date "%Y-%m-%d %H:%M:%S")
  if #all == 1 then facts = ("%s. Written %s."):format(shown(all[1].status), os.date "%Y-%m-%d %H:%M:%S") end
  if running > 0 then facts = facts .. " Reload the page for what is new." end
  local parts = {
    html.head(title, STYLE, escape(facts)), '<main>\n<section id="curves">\n<h2>Curves</h2>\n', curves(latest),
    "</section>\n",
  }
  if #all > 1 then
    parts[#parts + 1] = '<section id="runs">\n<h2>Runs</h2>\n' .. overview(all) .. "</section>\n"
  end
  for i = #latest, 1, -1 do parts[#parts + 1] = section(latest, i) end
  parts[#parts + 1] = "</main>\n</body>\n</html>\n"
  return table.concat(parts), running
end
