-- A script as a notebook (nbformat 4.4): comments that begin at a line's beginning, where a statement may, are cells of
-- text, what stands between them is code.
--
--   text = ipynb(source, title, json)    json: internal.json.write

-- "-- ---- words ----" is a heading.
local function heading(line) return line:match "^%-%-+ %-%-%-+ (.-) %-%-%-+$" end

-- Comment lines as Markdown.
local function text_of(lines)
  local out = {}
  for i, line in ipairs(lines) do
    local head = heading(line)
    out[i] = head and "## " .. head:gsub("^%l", string.upper) or line:gsub("^%-%-+ ?", "")
  end
  return out
end

local function trimmed(lines)
  while lines[1] and not lines[1]:find "%S" do table.remove(lines, 1) end
  while lines[1] and not lines[#lines]:find "%S" do table.remove(lines) end
  return lines
end

-- Whether code is whole: lines that follow begin a statement of their own.
local function is_whole(lines) return load(table.concat(lines, "\n"), "=cell", "t") ~= nil end

-- {{kind = "markdown" or "code", lines = {..}}, ..}
local function cells_of(source)
  local cells, code, comment = {}, {}, {}
  local function put(kind, lines)
    lines = trimmed(lines)
    if #lines > 0 then cells[#cells + 1] = { kind = kind, lines = lines } end
  end
  local blank = true -- before the line
  for line in (source:gsub("^#![^\n]*\n", ""):gsub("\n$", "") .. "\n"):gmatch "([^\n]*)\n" do
    local is_comment = line:find "^%-%-" and not line:find "^%-%-%[=*%["
    if is_comment and (#comment > 0 or blank and is_whole(code)) then
      if #comment == 0 then
        put("code", code)
        code = {}
      end
      comment[#comment + 1] = line
    else
      if #comment > 0 then
        put("markdown", text_of(comment))
        comment = {}
      end
      code[#code + 1] = line
    end
    blank = not line:find "%S" and #comment == 0 or #comment > 0
  end
  if #comment > 0 then put("markdown", text_of(comment)) end
  put("code", code)
  return cells
end

local function source_of(lines, json)
  local parts = {}
  for i, line in ipairs(lines) do parts[i] = "    " .. json("notebook", line .. (i < #lines and "\n" or "")) end
  return table.concat(parts, ",\n")
end

return function(source, title, json)
  local cells = cells_of(source)
  local first = cells[1]
  if first and first.kind == "markdown" then
    table.insert(first.lines, 1, "")
    table.insert(first.lines, 1, "# " .. title)
  else
    table.insert(cells, 1, { kind = "markdown", lines = { "# " .. title } })
  end
  local parts = {}
  for i, cell in ipairs(cells) do
    local fields = cell.kind == "code" and '   "execution_count": null,\n   "metadata": {},\n   "outputs": [],\n'
      or '   "metadata": {},\n'
    parts[i] = ('  {\n   "cell_type": "%s",\n%s   "source": [\n%s\n   ]\n  }'):format(cell.kind, fields,
      source_of(cell.lines, json))
  end
  return ([[
{
 "cells": [
%s
 ],
 "metadata": {
  "kernelspec": {
   "display_name": "Lua (Perilune)",
   "language": "lua",
   "name": "perilune"
  },
  "language_info": {
   "file_extension": ".lua",
   "mimetype": "text/x-lua",
   "name": "lua"
  }
 },
 "nbformat": 4,
 "nbformat_minor": 4
}
]]):format(table.concat(parts, ",\n"))
end
